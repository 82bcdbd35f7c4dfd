"""The Franka Hand as ``control_msgs/action/GripperCommand`` sees it.

Source of the behaviour: franka_ros2, ``GripperActionServer`` (franka_gripper), and libfranka's ``Gripper::move`` and ``grasp``:
the commanded position is that of one finger, half of the width; results and feedback give the whole width, ``effort`` and
``stalled`` are never filled in; opening is a move, closing is a grasp, which succeeds only if the fingers stop within 5 mm of
the commanded width. Closing on an object with a target of 0 therefore ends as aborted, and holds the object all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from vla_sim.controllers.messages import GoalStatus

SAME_WIDTH = 1e-4  # [m] a goal this near to the width is reached at once
REACHED = 1e-3  # [m] a move ends within this of its target
STANDS_STILL = 2e-3  # [m/s] of the width
SETTLING_NS = 60_000_000  # standing still for this long ends a motion
MOVE_FORCE = 30.0  # [N] to carry the fingers
LEAST_FORCE = 2.0  # [N] the fingers' own friction; a goal with max_effort 0 still moves them


@dataclass(frozen=True)
class GripperParameters:
    """Constants of the hand; the names are those of franka_gripper's parameters where it has them."""

    max_width: float = 0.08
    """[m]"""
    default_speed: float = 0.1
    """of the width [m/s]"""
    default_grasp_epsilon_inner: float = 0.005
    """[m]"""
    default_grasp_epsilon_outer: float = 0.005
    """[m]"""
    max_force: float = 70.0
    """[N] that the hand can apply for any length of time"""


class FingerCommand(NamedTuple):
    """Where each of the two fingers is sent [m], and the largest force it may use [N]."""

    position: float
    force: float


@dataclass(eq=False)
class GripperGoal:
    """A goal, and its result when ``status`` is no longer EXECUTING.

    Attributes:
        position: commanded position of one finger [m].
        max_effort: force of a grasp [N].
        status: of the action.
        reached_goal: the width is the commanded one, for a grasp within the tolerances.
        stalled: always False, as franka_gripper leaves it.
        width: the width at the end [m], sent as the result's position; None while it is executing.
    """

    position: float
    max_effort: float
    status: GoalStatus = GoalStatus.EXECUTING
    reached_goal: bool = False
    stalled: bool = False
    width: float | None = None

    def finish(self, status: GoalStatus, reached: bool, width: float) -> None:
        self.status, self.reached_goal, self.width = status, reached, width


class Gripper:
    """Moves the two fingers together at a constant speed until they are there or stand still."""

    def __init__(self, parameters: GripperParameters, period_ns: int, width: float) -> None:
        self.parameters = parameters
        self._period_s = period_ns * 1e-9
        self._goal: GripperGoal | None = None
        self.reset(width)

    def reset(self, width: float) -> None:
        """Stands still at ``width`` [m]; a running goal is aborted."""
        self._width = width
        self._setpoint = self._target = width
        self._force = MOVE_FORCE
        self._moving = False
        self._still_since_ns: int | None = None
        self._grasping = False
        self._end_goal(GoalStatus.ABORTED, False)

    @property
    def width(self) -> float:
        """Measured in the last cycle [m]."""
        return self._width

    def send_goal(self, position: float, max_effort: float) -> GripperGoal:
        """Accepts a goal, as franka_gripper does with every one; one out of range is aborted at once.

        A goal at the present width is reached at once, and does not end a motion that is under way.

        Args:
            position: of one finger, half of the width [m].
            max_effort: force when closing [N].
        """
        goal = GripperGoal(position, max_effort)
        width = 2.0 * position
        if not 0.0 <= width <= self.parameters.max_width:  # NaN is out of range too
            goal.finish(GoalStatus.ABORTED, False, 0.0)
            return goal
        if abs(width - self._width) < SAME_WIDTH:
            goal.finish(GoalStatus.SUCCEEDED, True, self._width)
            return goal
        self._end_goal(GoalStatus.ABORTED, False)
        self._goal = goal
        self._grasping = width < self._width
        force = min(max(max_effort, LEAST_FORCE), self.parameters.max_force)
        self._force = force if self._grasping else MOVE_FORCE
        self._setpoint, self._target = self._width, width
        self._moving, self._still_since_ns = True, None
        return goal

    def cancel_goal(self, goal: GripperGoal) -> bool:
        """Stops the fingers where they are. Returns False if the goal is not running."""
        if goal is not self._goal:
            return False
        self._stop()
        self._end_goal(GoalStatus.CANCELED, False)
        return True

    def stop(self) -> None:
        """Stops the fingers where they are; a running goal is aborted: the service ``~/stop``."""
        self._stop()
        self._end_goal(GoalStatus.ABORTED, False)

    def update(self, time_ns: int, width: float, speed: float) -> FingerCommand:
        """One cycle: takes the measured width [m] and its rate [m/s], returns where to send the fingers."""
        self._width = width
        if self._moving:
            step = self.parameters.default_speed * self._period_s
            self._setpoint += max(-step, min(step, self._target - self._setpoint))
            self._watch(time_ns, width, speed)
        return FingerCommand(0.5 * self._setpoint, self._force)

    def _watch(self, time_ns: int, width: float, speed: float) -> None:
        """Ends the motion when the fingers are there, or have stood still for the settling time."""
        if abs(speed) > STANDS_STILL:
            self._still_since_ns = None
        elif self._still_since_ns is None:
            self._still_since_ns = time_ns
        arrived = self._setpoint == self._target and abs(width - self._target) < REACHED
        settled = self._still_since_ns is not None and time_ns - self._still_since_ns >= SETTLING_NS
        if not arrived and not settled:
            return
        inner, outer = REACHED, REACHED
        if self._grasping:
            inner, outer = self.parameters.default_grasp_epsilon_inner, self.parameters.default_grasp_epsilon_outer
            self._setpoint = self._target  # keeps squeezing
        reached = self._target - inner <= width <= self._target + outer
        self._moving = False
        self._end_goal(GoalStatus.SUCCEEDED if reached else GoalStatus.ABORTED, reached)

    def _stop(self) -> None:
        self._moving = False
        self._setpoint = self._target = self._width

    def _end_goal(self, status: GoalStatus, reached: bool) -> None:
        if self._goal is not None:
            self._goal.finish(status, reached, self._width)
            self._goal = None
