"""How closely a replay followed what was recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vla.replay.recording import Array, Recording, Times
from vla_core.errors import VlaError
from vla_recorder.playback import Timeline

_CYCLE_NS = 1_000_000


class TraceError(VlaError):
    """What the simulator wrote down is not there, or does not reach over the replay."""


@dataclass(frozen=True, eq=False)
class Trace:
    """What the simulated arm was commanded and did, at 1 kHz.

    Attributes:
        times_ns: (c,) [ns].
        command: (c, n) where the joints were told to be at that time [rad or m].
        position: (c, n) where they were [rad or m].
    """

    times_ns: Times
    command: Array
    position: Array


def read_trace(path: Path) -> Trace:
    """Reads a trace of the simulator.

    Raises:
        TraceError: there is none.
    """
    try:
        with np.load(path) as data:
            # a cycle's command is where the joints are to be in the next cycle
            command = np.concatenate([data["command"][:1], data["command"][:-1]])
            return Trace(data["time_ns"], command, data["position"])
    except (OSError, KeyError, ValueError) as error:
        raise TraceError(f"{path}: expected a trace of the simulator: {error}") from error


@dataclass(frozen=True, eq=False)
class Tracking:
    """Recorded, simulated and commanded positions at the recorded times.

    Attributes:
        joint_names: n joints.
        times_s: (k,) since the replay began, in the time of the replay [s].
        recorded: (k, n) where the arm was [rad or m].
        simulated: (k, n) where the simulated arm was [rad or m].
        commanded: (k, n) where the simulated arm was told to be [rad or m].
    """

    joint_names: tuple[str, ...]
    times_s: Array
    recorded: Array
    simulated: Array
    commanded: Array

    @property
    def error(self) -> Array:
        """Simulated minus recorded (k, n) [rad or m]."""
        return self.simulated - self.recorded

    @property
    def command_error(self) -> Array:
        """Simulated minus commanded (k, n) [rad or m]."""
        return self.simulated - self.commanded

    def by_joint(self, values: Sequence[float] | Array) -> Mapping[str, float]:
        """One value per joint, by its name."""
        return {name: float(value) for name, value in zip(self.joint_names, values, strict=True)}


def rms(errors: Array) -> Array:
    """Root mean square over time (n,)."""
    return np.asarray(np.sqrt((errors**2).mean(axis=0)))


def largest(errors: Array) -> Array:
    """Largest absolute value over time (n,)."""
    return np.asarray(np.abs(errors).max(axis=0))


def track(recording: Recording, trace: Trace, timeline: Timeline, joint_names: tuple[str, ...]) -> Tracking:
    """Compares a recording with what the simulated arm did, at the recorded times.

    Args:
        recording: with positions of these joints.
        trace: of the replay.
        timeline: recorded time to the simulator's.

    Raises:
        TraceError: the trace does not reach over the replay, or nothing was recorded.
    """
    times_ns = np.array([timeline.at(int(stamp_ns)) for stamp_ns in recording.stamps_ns], dtype=np.int64)
    if not len(times_ns):
        raise TraceError(f"{recording.path}: expected joint states while the arm was commanded, found none")
    first_ns, last_ns = int(trace.times_ns[0]), int(trace.times_ns[-1])
    if times_ns[0] < first_ns - _CYCLE_NS or times_ns[-1] > last_ns + _CYCLE_NS:
        raise TraceError(
            f"expected a trace from {times_ns[0]} to {times_ns[-1]} ns, found one from {first_ns} to {last_ns} ns"
        )
    return Tracking(
        joint_names,
        np.asarray((times_ns - timeline.start_ns) * 1e-9, dtype=np.float64),
        recording.position,
        _at(times_ns, trace.times_ns, trace.position),
        _at(times_ns, trace.times_ns, trace.command),
    )


def _at(times_ns: Times, known_ns: Times, values: Array) -> Array:
    """Values (k, n) at times, linearly between two cycles."""
    since = int(known_ns[0])  # as differences, because nanoseconds since 1970 are too large for a float
    columns = [np.interp(times_ns - since, known_ns - since, column) for column in values.T]
    return np.stack(columns, axis=1)
