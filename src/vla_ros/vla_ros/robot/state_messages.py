"""The messages for controllers that are told at every tick where to be. What each kind needs: docs/action_spaces.md."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from geometry_msgs.msg import PoseStamped, TwistStamped
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from vla_core.action_spaces.cartesian import pose_at
from vla_core.motion.polynomial import Array, State
from vla_ros.codecs.geometry import pose_message, twist_message
from vla_ros.time import to_time


@dataclass(frozen=True)
class Meaning:
    """What a state means.

    Attributes:
        names: of the axes.
        frame: in which poses are told.
        origin: (3, 3) the tool's rotation at arming, from which those of Cartesian axes are told.
    """

    names: tuple[str, ...]
    frame: str
    origin: Array


@dataclass(frozen=True)
class StateMessages:
    """For a kind of controller: the messages' type, their topic with the controller's ``{name}``, one for a state at a time."""

    type: type
    topic: str
    message: Callable[[State, int, Meaning], Any]


def _pose(at: State, time_ns: int, meaning: Meaning) -> PoseStamped:
    return pose_message(*pose_at(at.position, meaning.origin), meaning.frame, time_ns)


def _numbers(values: Array) -> Float64MultiArray:
    return Float64MultiArray(data=array("d", values))


def _joint_state(at: State, time_ns: int, meaning: Meaning) -> JointState:
    message = JointState(name=list(meaning.names), position=array("d", at.position), velocity=array("d", at.velocity))
    message.header.stamp = to_time(time_ns)
    return message


STATE_MESSAGES = {
    "forward_command": StateMessages(Float64MultiArray, "/{name}/commands", lambda at, _, __: _numbers(at.position)),
    "forward_velocity": StateMessages(Float64MultiArray, "/{name}/commands", lambda at, _, __: _numbers(at.velocity)),
    "joint_impedance": StateMessages(JointState, "/{name}/target_joint", _joint_state),
    "base_velocity": StateMessages(
        TwistStamped, "/{name}/cmd_vel", lambda at, time_ns, m: twist_message(list(m.names), at.velocity, time_ns)
    ),
    "cartesian_pose": StateMessages(PoseStamped, "/{name}/target_pose", _pose),
}
