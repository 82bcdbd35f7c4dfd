"""Motion at the limits: Ruckig's time-optimal, jerk-limited profiles as knots.

Ruckig's jerk is piecewise constant. With a knot at every change of any joint's jerk, the quintic between two knots is Ruckig's
own cubic, so that nothing is lost or overshot when a controller interpolates the knots.
Source: L. Berscheid, T. Kröger, "Jerk-limited Real-time Trajectory Generation with Arbitrary Target States", RSS 2021.
"""

from __future__ import annotations

import numpy as np
from ruckig import ControlInterface, InputParameter, Result, Ruckig, RuckigError, Synchronization, Trajectory

from vla_core.embodiment.limits import JointLimits
from vla_core.motion.bounds import LimitShare
from vla_core.motion.plan import MotionPlan
from vla_core.motion.polynomial import Array, State

_CLOSEST_S = 2e-5  # knots closer together than this are merged
_REACHABLE = 0.999  # of the acceleration at the end of a motion: for all of it there is no solution in floating point


class TimeOptimal:
    """Profiles of n joints inside shares of their limits (position-dependent velocity limits are for the caller to check)."""

    def __init__(self, limits: JointLimits, share: LimitShare) -> None:
        count = len(limits.velocity)
        self._velocity = limits.velocity * share.velocity
        self._acceleration = limits.acceleration * share.acceleration
        self._jerk = limits.jerk * share.jerk
        self._generator = Ruckig(count)
        self._trajectory = Trajectory(count)
        self._input = InputParameter(count)

    def towards(self, start: State, target: Array, start_ns: int, reduction: float) -> MotionPlan | None:
        """The fastest motion to rest at a place, all joints arriving together.

        Args:
            start: state (n,).
            target: (n,) [rad or m].
            start_ns: time of ``start`` [ns].
            reduction: of the velocity limit, 1 for all of it.

        Returns:
            Its knots after ``start_ns``, the last one at rest; None if there is no such motion.
        """
        parameters = self._parameters(start, reduction)
        parameters.control_interface = ControlInterface.Position
        parameters.target_position = target.tolist()
        return self._knots(parameters, start_ns)

    def to_rest(self, start: State, start_ns: int) -> MotionPlan | None:
        """The fastest stop, each joint for itself. Knots as in :meth:`towards`."""
        parameters = self._parameters(start, 1.0)
        parameters.control_interface = ControlInterface.Velocity
        parameters.synchronization = Synchronization.No
        return self._knots(parameters, start_ns)

    def to_velocity(
        self, start: State, velocity: Array, acceleration: Array, start_ns: int, span_ns: int
    ) -> MotionPlan | None:
        """The motion to a velocity, that takes a span of time, or longer where the limits ask for more.

        Args:
            start: state (n,).
            velocity: (n,) at the end, inside of the limits [rad/s or m/s].
            acceleration: (n,) at the end; more than the limit is taken for the limit [rad/s^2 or m/s^2].
            start_ns: time of ``start`` [ns].
            span_ns: least duration [ns].

        Returns:
            Its knots after ``start_ns``, the last one as it was asked for; None if there is no such motion.
        """
        parameters = self._parameters(start, 1.0)
        parameters.control_interface = ControlInterface.Velocity
        parameters.target_velocity = velocity.tolist()
        most = self._acceleration * _REACHABLE
        parameters.target_acceleration = np.clip(acceleration, -most, most).tolist()
        parameters.minimum_duration = span_ns * 1e-9
        return self._knots(parameters, start_ns, rests=False)

    def _parameters(self, start: State, reduction: float) -> InputParameter:
        parameters = self._input
        parameters.minimum_duration = None
        parameters.synchronization = Synchronization.Time
        parameters.current_position = start.position.tolist()
        parameters.current_velocity = start.velocity.tolist()
        parameters.current_acceleration = start.acceleration.tolist()
        parameters.target_velocity = [0.0] * len(start.position)
        parameters.target_acceleration = [0.0] * len(start.position)
        # a state may lie a rounding error beyond a limit that it uses fully
        parameters.max_velocity = np.maximum(self._velocity * reduction, np.abs(start.velocity)).tolist()
        parameters.max_acceleration = np.maximum(self._acceleration, np.abs(start.acceleration)).tolist()
        parameters.max_jerk = self._jerk.tolist()
        return parameters

    def _knots(self, parameters: InputParameter, start_ns: int, rests: bool = True) -> MotionPlan | None:
        try:
            result = self._generator.calculate(parameters, self._trajectory)
        except RuckigError:  # some states at the edge of the limits have no solution in floating point
            return None
        if result not in (Result.Working, Result.Finished) or self._trajectory.duration <= _CLOSEST_S:
            return None
        # the states are those of the whole nanoseconds, not of the switches: half a nanosecond at 1 rad/s between two knots
        # that are a millisecond apart would be a jerk of 30 rad/s^3
        times_ns = [round(float(time) * 1e9) for time in self._switches(self._trajectory.duration)]
        states = [State(*(np.array(part) for part in self._trajectory.at_time(time_ns * 1e-9))) for time_ns in times_ns]
        if rests:
            states[-1] = State.at_rest(states[-1].position)
        return MotionPlan.through([start_ns + time_ns for time_ns in times_ns], states)

    def _switches(self, end: float) -> Array:
        """Times after 0 at which any joint's jerk changes, up to and with ``end`` [s]."""
        times = [np.array([end])]
        for profile in self._trajectory.profiles[0]:
            phases = np.concatenate([profile.brake.t, profile.t, profile.accel.t])
            times.append(np.cumsum(phases))
        merged = np.unique(np.concatenate(times))
        merged = merged[(merged > _CLOSEST_S) & (merged <= end)]
        keep = np.append(np.diff(merged) > _CLOSEST_S, True)
        return np.asarray(merged[keep])
