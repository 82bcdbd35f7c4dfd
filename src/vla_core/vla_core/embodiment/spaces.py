"""What an embodiment file says about actions and about the robot's shape: action space, controller, kinematics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field as Constraint

from vla_core.embodiment.sources import Name, NotNegative, Positive, Topic

Representation = Literal[
    "axis_angle",
    "rpy",
    "euler_xyz",
    "quaternion_xyzw",
    "quaternion_wxyz",
    "rotation_6d_rows",
    "rotation_6d_columns",
    "matrix",
]
Point = Annotated[tuple[float, float, float], Constraint()]
ActionKind = Literal["joint_position", "joint_delta", "tcp_pose", "tcp_delta", "base_velocity", "base_waypoints"]
ArmKind = Literal[
    "joint_trajectory",
    "forward_command",
    "forward_velocity",
    "joint_impedance",
    "cartesian_pose",
    "base_velocity",
    "base_path",
]
TOLD_EVERY_TICK = ("forward_command", "forward_velocity", "joint_impedance", "cartesian_pose", "base_velocity")
"""Controllers that are told at every control tick where to be; the others are told plans."""


@dataclass(frozen=True)
class ActionSpace:
    """What an action is: the kind of target, and the recorded fields that hold it (``stream.field``). See docs/action_spaces.md.

    Joints stand in the order of ``joints``; a pose is a position [m] and then a rotation; the gripper is the last dimension.

    Attributes:
        rotation: how poses and their changes tell rotations.
        frame: whose axes a change of a pose is along: the robot's ``base``, or the ``tool`` itself.
        since: what a change is a change of: what the action before leads to (``previous``: changes are executed one after the
            other, each during its step), or where the robot was commanded to be at the ``observation``.
    """

    kind: ActionKind
    fields: tuple[str, ...]
    rotation: Representation = "axis_angle"
    frame: Literal["base", "tool"] = "base"
    since: Literal["previous", "observation"] = "previous"


@dataclass(frozen=True)
class ArmController:
    """The ros2_control controller that takes the commands, and the file in config/controllers that declares it."""

    name: Name
    controllers: Name
    kind: ArmKind = "joint_trajectory"
    topic: Topic | None = None
    """where it takes commands, if not where controllers of its kind do"""


@dataclass(frozen=True)
class Box:
    """A box with its edges along the axes of the base's frame [m]."""

    low: Point
    high: Point


@dataclass(frozen=True)
class Kinematics:
    """The robot's model, for actions that are poses of the tool, and for where the arm may be.

    Attributes:
        model: MJCF or URDF: an absolute path, or ``package://PACKAGE/PATH`` for a file of a Python or a ROS package.
        tcp: site or body of the tool centre point.
        base: body in whose frame poses are told; empty: that of the model's world.
        posture: joint positions that are kept to where the pose leaves a choice; empty: those at arming [rad or m].
        position_tolerance: an action whose pose cannot be reached more closely ends its chunk [m].
        rotation_tolerance: the same for the rotation [rad].
        workspace: where the tool centre point may be; the arm slows down along its path and stops before it leaves it.
        self_distance: that the arm keeps from itself, in the same way [m]; 0: it is not looked at.
    """

    model: str
    tcp: Annotated[str, Constraint(min_length=1)]
    base: str = ""
    posture: tuple[float, ...] = ()
    position_tolerance: Positive = 0.002
    rotation_tolerance: Positive = 0.02
    workspace: Box | None = None
    self_distance: NotNegative = 0.0


@dataclass(frozen=True)
class CartesianLimit:
    """Limits of one kind of motion of the tool [m, s or rad, s]."""

    velocity: Positive
    acceleration: Positive
    jerk: Positive


@dataclass(frozen=True)
class CartesianLimits:
    """Limits of the tool's motion along and about each axis of the base, where a Cartesian controller takes its pose."""

    position: CartesianLimit
    rotation: CartesianLimit
