"""Which action space an embodiment has."""

from __future__ import annotations

from vla_core.action_spaces.base import BaseVelocities, BaseWaypoints
from vla_core.action_spaces.joints import JointDeltas, JointPositions
from vla_core.action_spaces.space import CommandSpace
from vla_core.embodiment import Embodiment
from vla_core.errors import EmbodimentMismatch, choice

_JOINT_CONTROLLERS = ("joint_trajectory", "forward_command", "forward_velocity", "joint_impedance")
_CONTROLLERS = {
    "joint_position": _JOINT_CONTROLLERS,
    "joint_delta": _JOINT_CONTROLLERS,
    "tcp_pose": (*_JOINT_CONTROLLERS, "cartesian_pose"),
    "tcp_delta": (*_JOINT_CONTROLLERS, "cartesian_pose"),
    "base_velocity": ("base_velocity", "base_path"),
    "base_waypoints": ("base_velocity", "base_path"),
}


def command_space(embodiment: Embodiment) -> CommandSpace:
    """The axes in which a robot is commanded, and what its actions mean in them.

    Raises:
        EmbodimentMismatch: its controller does not take what its actions become, or something that they need is missing.
        ConfigError: the robot's model cannot be read.
    """
    kind, controller = embodiment.action.kind, embodiment.arm.kind
    if controller not in _CONTROLLERS[kind]:
        raise EmbodimentMismatch(
            f"'{embodiment.name}': arm.kind: expected {choice(_CONTROLLERS[kind])} for actions of the kind {kind}, found "
            f"'{controller}'"
        )
    if kind == "joint_position":
        return JointPositions(embodiment)
    if kind == "joint_delta":
        return JointDeltas(embodiment)
    if kind == "base_velocity":
        return BaseVelocities(embodiment)
    if kind == "base_waypoints":
        return BaseWaypoints(embodiment)
    return _of_the_tool(embodiment)


def _of_the_tool(embodiment: Embodiment) -> CommandSpace:
    """Imports MuJoCo: only robots whose actions are poses need it."""
    from vla_core.action_spaces.cartesian import CartesianPoses
    from vla_core.action_spaces.tcp import TcpPoses
    from vla_core.kinematics import KinematicModel

    model = KinematicModel(embodiment)
    if embodiment.arm.kind == "cartesian_pose":
        return CartesianPoses(embodiment, model)
    return TcpPoses(embodiment, model)
