"""What joint_trajectory_controller is sent and what it answers, as plain values with the fields of the ROS messages."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

EMPTY: Array = np.empty(0)
EMPTY.setflags(write=False)


def _not_given() -> Array:
    return EMPTY


@dataclass(frozen=True, eq=False)
class Point:
    """A point of a joint trajectory: trajectory_msgs/msg/JointTrajectoryPoint.

    Each array has one value per name of the trajectory, or is empty: not given.
    """

    time_from_start_ns: int
    positions: Array = field(default_factory=_not_given)
    """[rad or m]"""
    velocities: Array = field(default_factory=_not_given)
    """[rad/s or m/s]"""
    accelerations: Array = field(default_factory=_not_given)
    """[rad/s^2 or m/s^2]"""
    effort: Array = field(default_factory=_not_given)
    """[Nm or N]"""


@dataclass(frozen=True, eq=False)
class JointTrajectory:
    """trajectory_msgs/msg/JointTrajectory. A ``stamp_ns`` of 0 means: begin when you get it."""

    stamp_ns: int
    joint_names: tuple[str, ...]
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Rejection:
    """Why a message was not taken. ``reason`` is one word for programs, ``message`` a sentence for people."""

    reason: str
    message: str


@dataclass(frozen=True)
class JointTolerance:
    """control_msgs/msg/JointTolerance: above 0 a tolerance, 0 the controller's own, -1 none [rad or m]."""

    name: str
    position: float


@dataclass(frozen=True, eq=False)
class FollowJointTrajectoryGoal:
    """control_msgs/action/FollowJointTrajectory, the goal."""

    trajectory: JointTrajectory
    path_tolerance: tuple[JointTolerance, ...] = ()
    goal_tolerance: tuple[JointTolerance, ...] = ()
    goal_time_tolerance_ns: int = 0


class GoalStatus(IntEnum):
    """The numbers of action_msgs/msg/GoalStatus."""

    EXECUTING = 2
    SUCCEEDED = 4
    CANCELED = 5
    ABORTED = 6


class ErrorCode(IntEnum):
    """Error codes of the result of control_msgs/action/FollowJointTrajectory."""

    SUCCESSFUL = 0
    INVALID_GOAL = -1
    PATH_TOLERANCE_VIOLATED = -4
    GOAL_TOLERANCE_VIOLATED = -5


@dataclass(eq=False)
class TrajectoryGoal:
    """An accepted goal. The controller changes its status; whoever sent it looks here for the result."""

    request: FollowJointTrajectoryGoal
    status: GoalStatus = GoalStatus.EXECUTING
    error_code: ErrorCode = ErrorCode.SUCCESSFUL
    error_string: str = ""

    def finish(self, status: GoalStatus, code: ErrorCode = ErrorCode.SUCCESSFUL, text: str = "") -> None:
        self.status, self.error_code, self.error_string = status, code, text


@dataclass(frozen=True, eq=False)
class ControllerState:
    """control_msgs/msg/JointTrajectoryControllerState of one cycle; arrays (n,) in the order of the controller's joints.

    NaN stands where the message leaves a field empty.

    Attributes:
        stamp_ns: time of the cycle.
        time_from_start_ns: of the reference, since the trajectory's start; negative before a stamp in the future.
        reference_position, reference_velocity, reference_acceleration: where the trajectory wants the arm now.
        feedback_position, feedback_velocity: where the arm is.
        output_position: what was written in this cycle: the reference one update period ahead.
    """

    stamp_ns: int
    time_from_start_ns: int
    reference_position: Array
    reference_velocity: Array
    reference_acceleration: Array
    feedback_position: Array
    feedback_velocity: Array
    output_position: Array
