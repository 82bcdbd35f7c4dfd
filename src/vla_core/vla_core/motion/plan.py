"""A planned motion: knots with position, velocity and acceleration, quintic between them, at rest in the end."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vla_core.motion import polynomial
from vla_core.motion.polynomial import Array, State

_SAMPLES = 8  # of a segment, where a plan is sampled to look at its way


@dataclass(frozen=True, eq=False)
class MotionPlan:
    """What n joints do from the first knot on, in absolute time; after the last knot they stand.

    A joint_trajectory_controller that gets the knots as points (positions, velocities, accelerations) interpolates
    exactly this, because it too uses the quintic between two points.

    Attributes:
        times_ns: (k,) strictly increasing, on the clock of the header stamps [ns].
        positions, velocities, accelerations: (k, n) [rad, s; m, s for prismatic joints]; the last row is at rest.
    """

    times_ns: NDArray[np.int64]
    positions: Array
    velocities: Array
    accelerations: Array

    @staticmethod
    def at_rest(position: Array, since_ns: int) -> MotionPlan:
        """Standing at ``position`` (n,)."""
        return MotionPlan.through([since_ns], [State.at_rest(position)])

    @staticmethod
    def through(times_ns: Sequence[int], states: Sequence[State]) -> MotionPlan:
        """The plan with these knots."""
        return MotionPlan(
            np.asarray(times_ns, dtype=np.int64),
            np.array([state.position for state in states]),
            np.array([state.velocity for state in states]),
            np.array([state.acceleration for state in states]),
        )

    @property
    def end_ns(self) -> int:
        """From when on the joints stand [ns]."""
        return int(self.times_ns[-1])

    def knot(self, index: int) -> State:
        return State(self.positions[index], self.velocities[index], self.accelerations[index])

    @cached_property
    def durations_s(self) -> Array:
        """Length of each segment (k-1,) [s]."""
        return np.asarray(np.diff(self.times_ns) * 1e-9)

    @cached_property
    def coefficients(self) -> Array:
        """Polynomials of all segments (k-1, 6, n), as in :mod:`vla_core.motion.polynomial`."""
        if len(self.times_ns) < 2:
            return np.zeros((0, 6, self.positions.shape[1]))
        start = State(self.positions[:-1], self.velocities[:-1], self.accelerations[:-1])
        end = State(self.positions[1:], self.velocities[1:], self.accelerations[1:])
        return polynomial.quintic(self.durations_s[:, None], start, end)

    def state_at(self, time_ns: int) -> State:
        """Where the joints are at a time; before the first knot: where it is."""
        index = bisect_right(self._times, time_ns) - 1
        if index < 0:
            return self.knot(0)
        if index >= len(self._times) - 1:
            return State.at_rest(self.positions[-1])
        return polynomial.state_at(self.coefficients[index], (time_ns - self._times[index]) * 1e-9)

    def sampled(self) -> Array:
        """Positions along the whole plan (k, n), several between every two knots, to look at where the arm comes by."""
        if len(self.times_ns) < 2:
            return self.positions
        u = np.linspace(0.0, 1.0, _SAMPLES + 1)[:, None]
        powers = u ** np.arange(6)  # (samples, 6)
        scaled = self.coefficients * (self.durations_s[:, None] ** np.arange(6))[:, :, None]
        return np.asarray((powers @ scaled).reshape(-1, self.positions.shape[1]))

    def jerk_at(self, time_ns: int) -> Array:
        """Jerk (n,) at a time [rad/s^3]; none outside of the knots."""
        index = bisect_right(self._times, time_ns) - 1
        if not 0 <= index < len(self._times) - 1:
            return np.zeros(self.positions.shape[1])
        seconds = np.array([(time_ns - self._times[index]) * 1e-9])
        return np.asarray(polynomial.derivative(self.coefficients[index], seconds, 3)[0])

    def spliced(self, at_ns: int, tail: MotionPlan, keep_from_ns: int) -> MotionPlan:
        """This plan up to ``at_ns``, then through the knots of another.

        Args:
            at_ns: where the tail takes over; the state there is this plan's.
            tail: knots that all lie after ``at_ns``.
            keep_from_ns: knots that nobody needs any more at this time are left out; the one before it stays.
        """
        first = max(0, bisect_right(self._times, keep_from_ns) - 1)
        last = bisect_right(self._times, at_ns - 1)
        here = self.state_at(at_ns)
        return MotionPlan(
            np.concatenate([self.times_ns[first:last], np.array([at_ns]), tail.times_ns]),
            np.concatenate([self.positions[first:last], here.position[None], tail.positions]),
            np.concatenate([self.velocities[first:last], here.velocity[None], tail.velocities]),
            np.concatenate([self.accelerations[first:last], here.acceleration[None], tail.accelerations]),
        )

    @cached_property
    def _times(self) -> list[int]:
        return [int(time_ns) for time_ns in self.times_ns]
