"""playback_node: plays a bag or an episode back, on time: its commands to the robot, or its topics into the graph."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, Protocol

from diagnostic_msgs.msg import DiagnosticStatus
from pydantic import Field as Constraint
from std_srvs.srv import Trigger

from vla_core.embodiment import load_embodiment
from vla_core.errors import ConfigError, VlaError
from vla_recorder.playback import PlaybackError, PlaybackProgress, PlaybackSource, PlaybackState, Schedule, open_source
from vla_recorder.playback.opening import is_episode
from vla_recorder.playback.ros.commands import CommandPlayer
from vla_recorder.playback.ros.messages import Move
from vla_recorder.playback.ros.progress import progress_message
from vla_recorder.playback.ros.topics import TopicPlayer
from vla_recorder.playback.source import Event
from vla_ros import names, params, qos
from vla_ros.host import NodeHost
from vla_ros.nodes import run_node

_TICK_NS = 1_000_000
_STATUS_NS = 200_000_000


@dataclass(frozen=True)
class PlaybackParameters:
    """Parameters of playback_node."""

    path: str = field(metadata={"doc": "the bag or the episode (.hdf5)"})
    mode: Literal["commands", "topics"] = field(
        default="topics",
        metadata={
            "doc": "commands: a bag's commands to the arm and the gripper; topics: everything is published again"
        },
    )
    embodiment: str = field(default="", metadata={"doc": "embodiment file (YAML), for commands"})
    topics: tuple[str, ...] = field(default=("",), metadata={"doc": "topics to publish; none: all"})
    speed: Annotated[float, Constraint(gt=0)] = field(
        default=1.0, metadata={"doc": "1: as recorded; 0.5: half as fast"}
    )
    stamps: Literal["moved", "kept"] = field(
        default="moved", metadata={"doc": "moved: stamps say when a message is played; kept: what they said (topics)"}
    )


class Player(Protocol):
    """Does something with an event whose time has come."""

    @property
    def topics(self) -> tuple[str, ...]:
        """Which events it wants."""
        ...

    def check(self, now_ns: int) -> None:
        """Raises VlaError if it cannot begin now."""
        ...

    def play(self, event: Event, move: Move) -> bool:
        """Returns whether the event was played."""
        ...


class PlaybackNode:
    """Waits to be started, plays once, and can be started again."""

    def __init__(self, host: NodeHost) -> None:
        self._host = host
        self._parameters = params.declare(host.node, PlaybackParameters)
        self._source, self._player = _open(host, self._parameters)
        self._total = sum(self._source.topics[name].count for name in self._player.topics)
        self._schedule: Schedule | None = None
        self._played = 0
        self._status = host.publisher(DiagnosticStatus, names.PLAYBACK_STATUS, qos.latched())
        host.service(Trigger, names.START_PLAYBACK, self._on_start)
        host.every(_TICK_NS, self._on_tick)
        host.every(_STATUS_NS, self._publish_status)
        self._publish_status(host.clock.now_ns())

    def close(self) -> None:
        return

    def _on_start(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        now_ns = self._host.clock.now_ns()
        try:
            if self._schedule is not None and not self._schedule.over:
                raise PlaybackError("is playing already; expected it to end first")
            self._player.check(now_ns)
            self._schedule = Schedule(self._source.events(self._player.topics), now_ns, self._parameters.speed)
            self._played = 0
            response.success = True
        except VlaError as error:
            response.message = str(error)
            self._host.node.get_logger().error(f"not started: {error}")
        self._publish_status(now_ns)
        return response

    def _on_tick(self, now_ns: int) -> None:
        schedule = self._schedule
        if schedule is None or schedule.over:
            return
        for event in schedule.due(now_ns):
            self._played += self._player.play(event, schedule.timeline.at)
        if schedule.over:
            self._host.node.get_logger().info(f"played {self._played} messages")
            self._publish_status(now_ns)

    def _publish_status(self, now_ns: int) -> None:
        self._status.publish(progress_message(self._progress()))

    def _progress(self) -> PlaybackProgress:
        schedule, path = self._schedule, self._parameters.path
        if schedule is None:
            return PlaybackProgress(PlaybackState.WAITING, path, 0, self._total)
        state = PlaybackState.FINISHED if schedule.over else PlaybackState.PLAYING
        timeline = schedule.timeline
        return PlaybackProgress(
            state, path, self._played, self._total, timeline.first_ns, schedule.newest_ns, timeline.start_ns
        )


def _open(host: NodeHost, parameters: PlaybackParameters) -> tuple[PlaybackSource, Player]:
    path = Path(parameters.path)
    if parameters.mode == "topics":
        named = [name for name in parameters.topics if name]
        source = open_source(path, named)
        return source, TopicPlayer(host, source, bool(named), parameters.stamps == "moved")
    if is_episode(path):
        raise PlaybackError(f"{path}: expected a bag; the actions of an episode are played by replay_node")
    if not parameters.embodiment:
        raise ConfigError("parameters of playback_node: embodiment: missing; commands need one")
    player = CommandPlayer(host, load_embodiment(Path(parameters.embodiment)), path, parameters.speed)
    return player.source, player


def main() -> int:
    return run_node("playback_node", PlaybackNode)


if __name__ == "__main__":
    sys.exit(main())
