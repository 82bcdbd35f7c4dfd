"""The joint positions, velocities and accelerations along a Cartesian path, as knots of a plan."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vla_core.embodiment import JointLimits
from vla_core.errors import LimitError
from vla_core.motion.bounds import LimitShare
from vla_core.motion.braking import stop_duration, stopped_after
from vla_core.motion.plan import MotionPlan
from vla_core.motion.polynomial import State
from vla_sim.expert.cartesian_path import CartesianPath, Movement, minimum_jerk
from vla_sim.expert.inverse_kinematics import InverseKinematics

Array = NDArray[np.float64]

KNOT_NS = 20_000_000
_MARGIN = 2  # knots on either side that the differences need
_JOIN_NS = 1_000_000_000  # over which the arm leaves the posture it began in for the one of the inverse kinematics
_STOP = LimitShare(velocity=1.0, acceleration=0.6, jerk=0.4)


class JointPath:
    """Knots every 20 ms, each found by inverse kinematics, with derivatives from the positions around it.

    Knots that were given out stay as they are while nothing is added before them, so plans that follow each other agree
    where they overlap, and a controller can go from one to the next at any time without a step.

    Args:
        kinematics: of the arm.
        limits: of the joints, for coming to rest.
        start_ns: time of the first knot, where the arm rests; it begins to move two knots later.
        arm_position: (n,) where it rests.
    """

    def __init__(self, kinematics: InverseKinematics, limits: JointLimits, start_ns: int, arm_position: Array) -> None:
        self.start_ns = start_ns
        self._kinematics = kinematics
        self._limits = limits
        self.cartesian = CartesianPath(kinematics.tcp(arm_position))
        solution = kinematics.solve(self.cartesian.end, arm_position)
        self._offset = arm_position - solution
        self._solutions = [solution]

    def next_knot_ns(self, time_ns: int) -> int:
        """Time of the first knot that is not before ``time_ns`` and at which a movement may begin."""
        return max(self.start_ns + _MARGIN * KNOT_NS, time_ns + (self.start_ns - time_ns) % KNOT_NS)

    def add(self, start_ns: int, duration_s: float, displacement: Array) -> None:
        """Adds a movement by ``displacement`` (4,) that begins at a knot."""
        self.cartesian.add(Movement(start_ns, round(duration_s * 1e9), displacement))
        del self._solutions[self._index(start_ns) + 1 :]

    def position_at(self, time_ns: int) -> Array:
        """Planned joint positions (n,) at the knot at or before ``time_ns``."""
        return self._position(max(0, (time_ns - self.start_ns) // KNOT_NS))

    def plan(self, since_ns: int, until_ns: int) -> MotionPlan:
        """From the knot at or before ``since_ns`` to the one at or after ``until_ns``, and from there to rest.

        Raises:
            LimitError: the arm could not come to rest from there.
        """
        first = max(0, (since_ns - self.start_ns) // KNOT_NS)
        last = max(first, self._index(self.next_knot_ns(until_ns)))
        times = [self.start_ns + index * KNOT_NS for index in range(first, last + 1)]
        states = [self._state(index) for index in range(first, last + 1)]
        duration_s = stop_duration(states[-1], self._limits, _STOP)
        if duration_s is None:
            raise LimitError(f"expected a motion that can be stopped, found velocities {states[-1].velocity.tolist()}")
        times.append(times[-1] + round(duration_s * 1e9))
        states.append(stopped_after(states[-1], duration_s))
        return MotionPlan.through(times, states)

    def _index(self, knot_ns: int) -> int:
        return (knot_ns - self.start_ns) // KNOT_NS

    def _state(self, index: int) -> State:
        """Central differences of fourth order."""
        before2, before, here, after, after2 = (self._position(index + k) for k in range(-_MARGIN, _MARGIN + 1))
        h = KNOT_NS * 1e-9
        velocity = (8.0 * (after - before) - (after2 - before2)) / (12.0 * h)
        acceleration = (16.0 * (after + before) - (after2 + before2) - 30.0 * here) / (12.0 * h**2)
        return State(here, velocity, acceleration)

    def _position(self, index: int) -> Array:
        """Joint positions of a knot; before the first one the arm rests."""
        index = max(index, 0)
        while len(self._solutions) <= index:
            target = self.cartesian.at(self.start_ns + len(self._solutions) * KNOT_NS)
            self._solutions.append(self._kinematics.solve(target, self._solutions[-1]))
        joined = minimum_jerk((index - _MARGIN) * KNOT_NS / _JOIN_NS)
        return self._solutions[index] + self._offset * (1.0 - joined)
