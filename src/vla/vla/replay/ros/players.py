"""Lets the nodes play: an episode by replay_node and command_node, a bag by playback_node."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from vla_msgs.msg import ActionChunk

from vla.ros.operator import Operator
from vla_core.errors import VlaError
from vla_recorder.playback import PlaybackProgress, PlaybackState, Timeline
from vla_recorder.playback.ros.progress import progress_from
from vla_ros import names, qos
from vla_ros.time import to_ns


class ReplayFailed(VlaError):
    """A recording could not be replayed; the message says why."""


@dataclass(frozen=True)
class Played:
    """What was played: the messages, and recorded time to the time of the robot."""

    messages: int
    timeline: Timeline


class EpisodePlayer:
    """Plays the actions of an episode.

    Args:
        operator: of a graph with a replay_node and a command_node.
        path: of the episode.
        first_ns: stamp of its first step [ns].
        speed: 1 as recorded.
    """

    def __init__(self, operator: Operator, path: Path, first_ns: int, speed: float) -> None:
        self._operator = operator
        self._path = path
        self._first_ns = first_ns
        self._speed = speed
        self._start_ns: int | None = None
        self._result: Any = None
        operator.listen(ActionChunk, names.ACTION_CHUNK, self._on_chunk, qos.command(100))

    def prepare(self) -> None:
        """Arms the command_node."""
        self._operator.arm()

    def start(self) -> None:
        self._start_ns = None
        goal = self._operator.start_replay(str(self._path.resolve()), self._speed)
        self._result = goal.get_result_async()

    def require_going_on(self) -> None:
        """Raises ReplayFailed if it ended early."""
        if self._result.done() and not self._result.result().result.success:
            raise ReplayFailed(f"{self._path}: {self._result.result().result.message}")

    def finish(self) -> Played:
        """Waits for the end. Raises ReplayFailed if it ended early."""
        self._operator.wait_until(self._result.done, "the replay to end")
        self.require_going_on()
        start_ns = self._operator.wait_until(lambda: self._start_ns, "the first chunk of the replay")
        timeline = Timeline(self._first_ns, start_ns, self._speed)
        return Played(int(self._result.result().result.steps), timeline)

    def release(self) -> None:
        """Disarms the command_node."""
        self._operator.disarm("the replay is over")

    def _on_chunk(self, message: ActionChunk) -> None:
        if message.sequence == 0 and message.policy_id == f"replay/{self._path.stem}":
            self._start_ns = to_ns(message.first_action_time)


class PlaybackPlayer:
    """Lets a playback_node play what it has.

    Args:
        operator: of a graph with a playback_node.
        speed: that the playback_node has.
    """

    def __init__(self, operator: Operator, speed: float) -> None:
        self._operator = operator
        self._speed = speed
        self._progress: PlaybackProgress | None = None
        operator.listen(DiagnosticStatus, names.PLAYBACK_STATUS, self._on_status, qos.latched())

    @property
    def progress(self) -> PlaybackProgress:
        """The newest status of the playback_node; waits for the first."""
        return self._operator.wait_until(lambda: self._progress, f"a status on /{names.PLAYBACK_STATUS}")

    def prepare(self) -> None:
        return

    def start(self) -> None:
        self._operator.start_playback()

    def require_going_on(self) -> None:
        return  # a playback_node that cannot go on ends, which the operator notices

    def finish(self) -> Played:
        """Waits for the end."""
        self._operator.wait_until(lambda: self.progress.state is PlaybackState.FINISHED, "the playback to end")
        progress = self.progress
        return Played(progress.played, Timeline(progress.first_ns, progress.start_ns, self._speed))

    def release(self) -> None:
        return

    def _on_status(self, message: DiagnosticStatus) -> None:
        self._progress = progress_from(message)
