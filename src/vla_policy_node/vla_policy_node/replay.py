"""What a replay_node plays: the recorded actions of an episode, as chunks over time. No ROS."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from vla_core.action_chunk import ActionChunk
from vla_core.embodiment import Embodiment, require_compatible
from vla_core.episodes import EpisodeReader
from vla_core.errors import EpisodeError, VlaError
from vla_core.execution import ExecutorState

_MS = 1_000_000
_BEHIND_NS = 300 * _MS  # the ends of a chunk are less smooth than its middle, and now is to be in the middle
_AHEAD_NS = 500 * _MS  # farther than a plan looks ahead; also how long the arm goes on after a replay was cancelled
_HOLD_NS = 500 * _MS  # the last action is meant for this long, so that the arm arrives there
_SILENCE_NS = 1000 * _MS  # a command_node tells its status ten times a second


class ReplayRefused(VlaError):
    """An episode cannot be played now, or not in this way."""


@dataclass(frozen=True, eq=False)
class RecordedActions:
    """The actions of an episode of T steps, without its end steps.

    Attributes:
        name: of the episode.
        times_ns: (T,) when each was recorded, from the first one on [ns].
        actions: (T, action_dim) [units of the embodiment's action space].
        embodiment: of the robot that is to play them.
    """

    name: str
    times_ns: NDArray[np.int64]
    actions: NDArray[np.float64]
    embodiment: Embodiment

    @property
    def duration_ns(self) -> int:
        return int(self.times_ns[-1])


def read_actions(path: Path, embodiment: Embodiment) -> RecordedActions:
    """Reads the actions of an episode that this robot can play.

    Raises:
        EpisodeError: the file is no finished episode; it has fewer than two actions, one that is not finite, or a hole that is
            longer than the robot may go without an action.
        EmbodimentMismatch: it was recorded with another robot.
    """
    with EpisodeReader(path) as episode:
        require_compatible(episode.info.metadata.embodiment, embodiment, str(path))
        rows = episode.markers == 0
        stamps_ns, actions = episode.stamps_ns[rows], episode.actions[rows]
    if len(actions) < 2:
        raise EpisodeError(f"{path}: expected at least two actions to play, found {len(actions)}")
    _require_usable(path, stamps_ns, actions, embodiment)
    return RecordedActions(path.stem, stamps_ns - stamps_ns[0], actions, embodiment)


def _require_usable(
    path: Path, stamps_ns: NDArray[np.int64], actions: NDArray[np.float64], embodiment: Embodiment
) -> None:
    bad = np.argwhere(~np.isfinite(actions))
    if len(bad):
        step, dim = bad[0]
        raise EpisodeError(
            f"{path}: step {step}: expected a finite action, found {actions[step, dim]} for "
            f"'{embodiment.action_names[dim]}'"
        )
    holes_ns = np.diff(stamps_ns)
    if (holes_ns <= 0).any():
        raise EpisodeError(
            f"{path}: expected steps in the order of time, found step {int(np.argmin(holes_ns)) + 1} before"
        )
    widest = int(np.argmax(holes_ns))
    if holes_ns[widest] > embodiment.safety.silence_ms * _MS:
        raise EpisodeError(
            f"{path}: expected an action at least every {embodiment.safety.silence_ms:.0f} ms, found none for "
            f"{holes_ns[widest] / _MS:.0f} ms after step {widest}: nobody knows how the arm is to move there"
        )


class ActionReplay:
    """Recorded actions on a clock: at any time the chunk around it, until the last action was held for a while.

    ::

        recorded   ●──●──●──●──●──●──●──●──●──●──●──●──●──●──●
        chunk at now      ●──●──●──|──●──●──●──●──●
                         behind   now    ahead

    Chunks have the step of the embodiment whatever the speed and whatever steps were dropped while recording: the joints'
    actions are taken from the cubic spline through the recorded ones, the gripper's from the nearest one.

    Args:
        recorded: what to play.
        start_ns: when the first action is meant [ns].
        speed: 1 plays as recorded, 0.5 half as fast.

    Raises:
        ReplayRefused: the speed is not a positive number.
    """

    def __init__(self, recorded: RecordedActions, start_ns: int, speed: float = 1.0) -> None:
        if not (math.isfinite(speed) and speed > 0.0):
            raise ReplayRefused(f"speed: expected a positive number, found {speed}")
        self.start_ns = start_ns
        self._recorded = recorded
        self._speed = speed
        self._joints = len(recorded.embodiment.joints)
        self._spline = CubicSpline(recorded.times_ns * 1e-9, recorded.actions[:, : self._joints])
        self._step_ns = recorded.embodiment.step_ns
        playing_ns = math.ceil(recorded.duration_ns / speed) + _HOLD_NS
        self._last = -(-playing_ns // self._step_ns)  # index of the last action
        self._sequence = 0

    @property
    def steps(self) -> int:
        """Number of recorded actions."""
        return len(self._recorded.actions)

    @property
    def end_ns(self) -> int:
        """When the last action was meant for long enough [ns]."""
        return self.start_ns + self._last * self._step_ns

    def played(self, now_ns: int) -> int:
        """How many of the recorded actions were meant by now."""
        elapsed_ns = (now_ns - self.start_ns) * self._speed
        return int(np.searchsorted(self._recorded.times_ns, elapsed_ns, side="right"))

    def chunk_at(self, now_ns: int) -> ActionChunk:
        """The chunk to be published now."""
        first = max(0, (now_ns - self.start_ns - _BEHIND_NS) // self._step_ns)
        last = min(self._last, -(-(now_ns - self.start_ns + _AHEAD_NS) // self._step_ns))
        indices = np.arange(min(first, last), last + 1)
        self._sequence += 1
        return ActionChunk(
            actions=self._actions_at(indices * self._step_ns),
            names=self._recorded.embodiment.action_names,
            start_ns=self.start_ns + int(indices[0]) * self._step_ns,
            step_ns=self._step_ns,
            observation_ns=now_ns,
            policy_id=f"replay/{self._recorded.name}",
            sequence=self._sequence - 1,
        )

    def _actions_at(self, playing_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        """The actions (k, action_dim) at times since the start."""
        recorded_ns = np.minimum(playing_ns * self._speed, self._recorded.duration_ns)
        times_ns = self._recorded.times_ns
        after = np.searchsorted(times_ns, recorded_ns).clip(1, len(times_ns) - 1)
        nearest = after - (recorded_ns - times_ns[after - 1] < times_ns[after] - recorded_ns)
        actions: NDArray[np.float64] = self._recorded.actions[nearest]
        actions[:, : self._joints] = self._spline(recorded_ns * 1e-9)
        return actions


class ExecutionWatch:
    """Notices from the statuses of a command_node when what is played is not executed."""

    def __init__(self) -> None:
        self._began_ns = 0
        self._heard_ns: int | None = None
        self._counts = (0, 0)

    def restart(self, began_ns: int) -> None:
        """A replay begins; what was told before does not count [ns]."""
        self._began_ns = began_ns
        self._heard_ns = None

    def note(self, stamp_ns: int, state: ExecutorState, message: str, accepted: int, refused: int) -> str:
        """Takes a status with its counts of chunks since arming. Returns why the replay must end, or nothing."""
        (accepted_before, refused_before), self._counts = self._counts, (accepted, refused)
        if stamp_ns <= self._began_ns:
            return ""
        first, self._heard_ns = self._heard_ns is None, stamp_ns
        if state is ExecutorState.FAULT:
            return f"the command_node stopped: {message}"
        if first:
            return ""  # made before the first chunk could have come
        if state is ExecutorState.READY:
            return "expected an armed command_node, found it disarmed"
        if refused > refused_before and accepted <= accepted_before:
            return f"the command_node refuses what is played: {message}"
        return ""

    def silent(self, now_ns: int) -> str:
        """Why the replay must end because nobody executes it, or nothing."""
        if now_ns - (self._heard_ns or self._began_ns) <= _SILENCE_NS:
            return ""
        return f"expected a command_node that executes the actions, heard of none for {_SILENCE_NS / 1e9:.0f} s"
