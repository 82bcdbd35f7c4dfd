"""joint_trajectory_controller with a position command interface: the same motion, rejections and surprises.

Source of the behaviour: ros2_controllers 4.42, ``JointTrajectoryController``. One call of :meth:`update` is one cycle of the
controller manager. Not simulated: velocity and effort interfaces (with their gains), speed scaling, integration of goals
without positions, joints without end.
"""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from vla_core.motion.polynomial import State
from vla_sim.controllers import stopping
from vla_sim.controllers.hardware import JointInterfaces
from vla_sim.controllers.messages import (
    ControllerState,
    ErrorCode,
    FollowJointTrajectoryGoal,
    GoalStatus,
    JointTrajectory,
    Rejection,
    TrajectoryGoal,
)
from vla_sim.controllers.parameters import JointTrajectoryParameters
from vla_sim.controllers.tolerances import configured, requested
from vla_sim.controllers.trajectory import ExecutedTrajectory, Sample, Waypoint
from vla_sim.controllers.validation import rejection

Array = NDArray[np.float64]

_log = logging.getLogger(__name__)


class JointTrajectoryController:
    """Follows joint trajectories given by topic (:meth:`submit`) or by action (:meth:`send_goal`).

    Args:
        name: of the controller.
        parameters: as configured.
        hardware: the joints' interfaces.
        period_ns: update period; the position written in a cycle is the reference one period ahead.

    Raises:
        ConfigError: a joint is not one of the hardware's.
    """

    type = "joint_trajectory_controller/JointTrajectoryController"

    def __init__(
        self, name: str, parameters: JointTrajectoryParameters, hardware: JointInterfaces, period_ns: int
    ) -> None:
        self.name = name
        self.parameters = parameters
        self.joints = parameters.joints
        self.command_interfaces = tuple(f"{joint}/position" for joint in self.joints)
        self.state_interfaces = tuple(
            f"{joint}/{kind}" for joint in self.joints for kind in parameters.state_interfaces
        )
        self.active = False
        self._hardware = hardware
        self._index = hardware.indices(self.joints, name)
        self._period_ns = period_ns
        self._default_tolerances = configured(parameters)
        self._tolerances = self._default_tolerances
        self._deceleration = self._deceleration_on_cancel()
        self._output_lost = False
        self._goal: TrajectoryGoal | None = None
        self._stamp_ns = 0

    def activate(self, time_ns: int) -> None:
        """Begins to hold the last command, or the measured position where there never was one."""
        self._measure()
        command = self._hardware.command[self._index]
        from_command = self.parameters.set_last_command_interface_value_as_state_on_activation
        if from_command and not np.isnan(command).any():
            self._position = command
        self._commanded = Waypoint(0, self._position, self._velocity, None)  # time 0: not yet
        self._commanded_once = False
        self._reference = State.at_rest(self._position)
        self._trajectory_time_ns = self._stamp_ns = time_ns
        self._take(stopping.hold(self.joints, self._position), holding=True)
        self._begin(time_ns)
        self.active = True

    def deactivate(self) -> None:
        """Stops writing; the last command stays in the interface. A running goal is aborted."""
        self._end_goal(GoalStatus.ABORTED, ErrorCode.INVALID_GOAL, "the controller was deactivated")
        self.active = False

    def submit(self, trajectory: JointTrajectory, now_ns: int) -> Rejection | None:
        """Takes a trajectory from the topic: the one before it is forgotten, unless this one is rejected.

        A running goal stays running, and succeeds when this other trajectory ends: as in the real controller.
        """
        refused = rejection(trajectory, self.parameters, now_ns)
        if refused is None and not self.active:
            refused = self._inactive()
        if refused is None:
            self._take(trajectory, holding=False)
        return refused

    def send_goal(self, request: FollowJointTrajectoryGoal, now_ns: int) -> TrajectoryGoal | Rejection:
        """Takes a goal of the action; a goal that is still running is aborted."""
        refused = self._inactive() if not self.active else rejection(request.trajectory, self.parameters, now_ns)
        if refused is not None:
            return refused
        self._end_goal(GoalStatus.ABORTED, ErrorCode.INVALID_GOAL, "another goal took over")
        self._take(request.trajectory, holding=False)
        self._tolerances = requested(request, self._default_tolerances, self.joints)
        self._goal = TrajectoryGoal(request)
        return self._goal

    def cancel_goal(self, goal: TrajectoryGoal) -> bool:
        """Cancels a goal and stops the arm where it was last measured. Returns False if the goal is not running."""
        if goal is not self._goal:
            return False
        self._end_goal(GoalStatus.CANCELED)
        self._stop()
        return True

    def update(self, time_ns: int, period_ns: int) -> bool:
        """One cycle at ``time_ns``, ``period_ns`` after the one before. Returns True: it never fails."""
        self._measure()
        self._stamp_ns = time_ns
        first = self._pending is not None
        if first:
            self._begin(time_ns)
        else:
            self._trajectory_time_ns += period_ns
        sample = self._trajectory.cycle(self._trajectory_time_ns)
        self._reference = sample.reference
        if self._judge(sample, first):
            self._write(sample.command, time_ns)
        return True

    def state(self) -> ControllerState:
        """What the controller publishes after a cycle. ``output_position`` stays NaN for good after a NaN was written."""
        output = self._hardware.command[self._index]
        return ControllerState(
            stamp_ns=self._stamp_ns,
            time_from_start_ns=self._trajectory_time_ns - self._trajectory.start_ns,
            reference_position=self._reference.position,
            reference_velocity=self._reference.velocity,
            reference_acceleration=self._reference.acceleration,
            feedback_position=self._position,
            feedback_velocity=self._velocity,
            output_position=np.full_like(output, np.nan) if self._output_lost else output,
        )

    @property
    def reference(self) -> State:
        """Where the trajectory wanted the arm in the last cycle (n,)."""
        return self._reference

    def _measure(self) -> None:
        self._position = self._hardware.position[self._index]
        self._velocity = self._hardware.velocity[self._index]

    def _take(self, trajectory: JointTrajectory, holding: bool) -> None:
        self._pending: JointTrajectory | None = trajectory
        self._holding = holding

    def _begin(self, time_ns: int) -> None:
        """Makes the pending trajectory the executed one, in the controller's joint order."""
        message, self._pending = self._pending, None
        if message is None:
            return
        measured_velocity = self._velocity if "velocity" in self.parameters.state_interfaces else None
        before = Waypoint(time_ns, self._position, measured_velocity, None)
        if self.parameters.interpolate_from_desired_state:
            before = self._commanded if self._commanded_once else self._commanded._replace(time_ns=time_ns)
        points = self._waypoints(message)
        start_ns = message.stamp_ns or time_ns
        method = self.parameters.interpolation_method
        self._trajectory = ExecutedTrajectory(points, start_ns, before, self._period_ns, method)
        self._trajectory_time_ns = time_ns

    def _waypoints(self, message: JointTrajectory) -> tuple[Waypoint, ...]:
        names = message.joint_names
        order = np.array([names.index(joint) if joint in names else -1 for joint in self.joints])
        command = self._hardware.command[self._index]
        kept = np.where(np.isnan(command), self._position, command)  # joints that the message does not name
        return tuple(
            Waypoint(
                point.time_from_start_ns,
                np.where(order < 0, kept, point.positions[order]),
                _ordered(point.velocities, order),
                _ordered(point.accelerations, order),
            )
            for point in message.points
        )

    def _judge(self, sample: Sample, first: bool) -> bool:
        """Checks timeout, tolerances and the goal. Returns whether this cycle's command may be written."""
        overdue_ns = self._trajectory_time_ns - self._trajectory.end_ns
        timeout_ns = round(self.parameters.cmd_timeout * 1e9)
        if sample.past_end and not self._holding and self._timeout_counts() and overdue_ns > timeout_ns:
            _log.warning("%s: no trajectory for %.3f s after the end of the last one", self.name, overdue_ns * 1e-9)
            self._stop()
        error = sample.reference.position - self._position
        tolerances = self._tolerances
        check_path = not self._holding and (first or not sample.past_end)
        left_path = check_path and tolerances.left_path(error)
        missed_goal = sample.past_end and not self._holding and tolerances.missed_goal(error)
        too_late = missed_goal and 0 < tolerances.goal_time_ns < overdue_ns
        if left_path or too_late:
            self._give_up(error, left_path)
            return False
        if self._goal is not None and sample.past_end and not missed_goal:
            self._end_goal(GoalStatus.SUCCEEDED, ErrorCode.SUCCESSFUL, "the goal was reached")
            self._take(stopping.keep_last_point(self.joints, self._trajectory.last), holding=True)
        return True

    def _give_up(self, error: Array, left_path: bool) -> None:
        worst = int(np.argmax(np.abs(error)))
        where = "away from the path" if left_path else "away from the goal after the time for it"
        text = f"'{self.joints[worst]}' is {error[worst]:+.4f} {where}"
        _log.warning("%s: stopping: %s", self.name, text)
        code = ErrorCode.PATH_TOLERANCE_VIOLATED if left_path else ErrorCode.GOAL_TOLERANCE_VIOLATED
        self._end_goal(GoalStatus.ABORTED, code, text)
        self._stop()

    def _write(self, command: State, time_ns: int) -> None:
        self._hardware.command[self._index] = command.position
        self._output_lost = self._output_lost or bool(np.isnan(command.position).any())
        self._commanded = Waypoint(time_ns, *command)
        self._commanded_once = True

    def _stop(self) -> None:
        if self._deceleration is None:
            trajectory = stopping.hold(self.joints, self._position)
        else:
            trajectory = stopping.decelerate(
                self.joints, self._position, self._velocity, self._deceleration, self._period_ns
            )
        self._take(trajectory, holding=True)

    def _end_goal(self, status: GoalStatus, code: ErrorCode = ErrorCode.SUCCESSFUL, text: str = "") -> None:
        if self._goal is not None:
            self._goal.finish(status, code, text)
            self._goal = None

    def _timeout_counts(self) -> bool:
        """A timeout that is not longer than the goal's time tolerance is ignored, as in the real controller."""
        return self.parameters.cmd_timeout > max(self.parameters.constraints.goal_time, 0.0)

    def _deceleration_on_cancel(self) -> Array | None:
        """(n,), or None where stopping means to hold the measured position at once."""
        constraints = self.parameters.constraints
        if not constraints.decelerate_on_cancel or "velocity" not in self.parameters.state_interfaces:
            return None
        of_joints = [constraints.joints.get(name) for name in self.joints]
        values = np.array([joint.max_deceleration_on_cancel if joint else 0.0 for joint in of_joints])
        return values if (values > 0).all() else None

    def _inactive(self) -> Rejection:
        return Rejection("inactive", f"expected '{self.name}' to be active, found it inactive")


def _ordered(values: Array, order: NDArray[np.intp]) -> Array | None:
    """Values (m,) of the message in the controller's order (n,), 0 for joints it does not name; None if not given."""
    return np.where(order < 0, 0.0, values[order]) if len(values) else None
