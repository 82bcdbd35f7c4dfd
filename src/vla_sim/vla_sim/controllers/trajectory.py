"""A joint trajectory being executed: what joint_trajectory_controller makes of its points between and after them.

Source of the rules: ros2_controllers 4.42, ``Trajectory::sample`` and ``Trajectory::interpolate_between_points``.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vla_core.motion import polynomial
from vla_core.motion.polynomial import State

Array = NDArray[np.float64]
Method = Literal["splines", "none"]

BLOCK = 10  # cycles that are sampled at once: as many as a sender at 100 Hz leaves a trajectory alone at 1 kHz


class Waypoint(NamedTuple):
    """A point in the controller's joint order (n,); velocity and acceleration are None where the message has none."""

    time_ns: int
    position: Array
    velocity: Array | None
    acceleration: Array | None


class Sample(NamedTuple):
    """What one cycle needs: the reference now, and what is written, the reference one update period ahead."""

    reference: State
    command: State
    past_end: bool
    """the command lies behind the last point"""


class ExecutedTrajectory:
    """Samples a trajectory that began at ``start_ns`` from ``before``, the state of the arm before its first point.

    Args:
        points: waypoints with times from the start; at least one.
        start_ns: when the trajectory's own time is zero.
        before: where the interpolation towards the first point begins, with its absolute time.
        period_ns: update period of the controller.
        method: ``splines``, or ``none``: the next point is commanded as soon as the one before it is reached.
    """

    def __init__(
        self, points: tuple[Waypoint, ...], start_ns: int, before: Waypoint, period_ns: int, method: Method = "splines"
    ) -> None:
        self.start_ns = start_ns
        self._points = [point._replace(time_ns=start_ns + point.time_ns) for point in points]
        self._before = _completed(before, points[0])
        self._times = np.array([point.time_ns for point in self._points], dtype=np.int64)
        self._period_ns = period_ns
        self._method = method
        self._segments: dict[int, Array] = {}
        self._block_start_ns = 0
        self._block: tuple[Array, ...] = ()
        self._played_out = False

    @property
    def end_ns(self) -> int:
        """When the last point is reached."""
        return self._points[-1].time_ns

    @property
    def last(self) -> Waypoint:
        """The last point, with its absolute time."""
        return self._points[-1]

    def cycle(self, time_ns: int) -> Sample:
        """What the cycle at ``time_ns`` needs. Cycles must be asked for in order of time.

        Once the look-ahead has passed the end, the last point is the reference too, even a moment before its time: so does
        the real controller with two or more points, because its sampling never goes back.
        """
        ahead, misfit = divmod(time_ns - self._block_start_ns, self._period_ns)
        if misfit or not self._block or not 0 <= ahead < BLOCK:
            self._fill(time_ns)
            ahead = 0
        past_end = time_ns + self._period_ns >= self.end_ns
        self._played_out = past_end and len(self._points) > 1
        position, velocity, acceleration = self._block
        return Sample(
            State(position[ahead], velocity[ahead], acceleration[ahead]),
            State(position[ahead + 1], velocity[ahead + 1], acceleration[ahead + 1]),
            past_end,
        )

    def sample(self, times_ns: NDArray[np.int64]) -> State:
        """Position, velocity and acceleration (k, n) at absolute times (k,) in ascending order; NaN where it has none."""
        states = np.full((3, len(times_ns), len(self._before.position)), np.nan)
        segments = np.searchsorted(self._times, times_ns, side="right")  # 0: before the first point
        for segment in np.unique(segments):
            rows = segments == segment
            if segment == len(self._points):
                states[:, rows] = _held(self._points[-1])[:, None]
            elif self._method == "none":
                states[:, rows] = _as_given(self._points[segment] if segment else self._before)[:, None]
            else:
                begin = self._before if segment == 0 else self._points[segment - 1]
                elapsed_s = (times_ns[rows] - begin.time_ns) * 1e-9
                for order in range(3):
                    states[order, rows] = polynomial.derivative(self._coefficients(int(segment)), elapsed_s, order)
        return State(*states)

    def _fill(self, time_ns: int) -> None:
        times = time_ns + self._period_ns * np.arange(BLOCK + 1, dtype=np.int64)
        if self._played_out:
            times = np.maximum(times, self.end_ns)
        self._block_start_ns = time_ns
        self._block = tuple(self.sample(times))

    def _coefficients(self, segment: int) -> Array:
        """Of the polynomial towards point ``segment``; made when it is first needed, as most points are never reached."""
        if segment not in self._segments:
            begin = self._before if segment == 0 else self._points[segment - 1]
            self._segments[segment] = _segment(begin, self._points[segment])
        return self._segments[segment]


def _segment(begin: Waypoint, end: Waypoint) -> Array:
    """Coefficients (6, n): the degree follows from what both ends have.

    With accelerations but no velocities the real controller computes nothing, and the reference is zero in every joint.
    """
    duration_s = (end.time_ns - begin.time_ns) * 1e-9
    has_acceleration = begin.acceleration is not None and end.acceleration is not None
    if begin.velocity is None or end.velocity is None:
        if has_acceleration:
            return np.zeros((6, len(begin.position)))
        return polynomial.linear(duration_s, begin.position, end.position)
    if begin.acceleration is None or end.acceleration is None:
        return polynomial.cubic(duration_s, begin.position, begin.velocity, end.position, end.velocity)
    start = State(begin.position, begin.velocity, begin.acceleration)
    return polynomial.quintic(duration_s, start, State(end.position, end.velocity, end.acceleration))


def _completed(before: Waypoint, first: Waypoint) -> Waypoint:
    """The state before the trajectory, with zeros for what only the first point has, so that the degree stays."""
    zeros = np.zeros_like(before.position)
    velocity = zeros if before.velocity is None and first.velocity is not None else before.velocity
    acceleration = zeros if before.acceleration is None and first.acceleration is not None else before.acceleration
    return before._replace(velocity=velocity, acceleration=acceleration)


def _held(point: Waypoint) -> Array:
    """(3, n): what is held after the last point: its position, and its velocity and acceleration too if it has them."""
    zeros = np.zeros_like(point.position)
    velocity = zeros if point.velocity is None else point.velocity
    return np.stack([point.position, velocity, zeros if point.acceleration is None else point.acceleration])


def _as_given(point: Waypoint) -> Array:
    """(3, n): the point, NaN where it has no velocity or acceleration."""
    missing = np.full_like(point.position, np.nan)
    velocity = missing if point.velocity is None else point.velocity
    return np.stack([point.position, velocity, missing if point.acceleration is None else point.acceleration])
