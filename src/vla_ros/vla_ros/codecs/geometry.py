"""Poses, twists and paths to messages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from geometry_msgs.msg import PoseStamped, TwistStamped
from nav_msgs.msg import Path

from vla_core.motion.polynomial import Array
from vla_ros.time import to_time

_BASE = "base_link"


def pose_message(place: Array, quaternion: Array, frame: str, time_ns: int) -> PoseStamped:
    """A pose: place (3,) [m], quaternion x, y, z, w (4,), in a frame at a time [ns]."""
    message = PoseStamped()
    message.header.stamp = to_time(time_ns)
    message.header.frame_id = frame
    position, orientation = message.pose.position, message.pose.orientation
    position.x, position.y, position.z = (float(value) for value in place)
    orientation.x, orientation.y, orientation.z, orientation.w = (float(value) for value in quaternion)
    return message


def twist_message(names: Sequence[str], velocity: Array, time_ns: int) -> TwistStamped:
    """Velocities (n,) [m/s, rad/s] of parts of a twist, by their names: ``linear_x``, ``angular_z``, ...; the others are 0."""
    message = TwistStamped()
    message.header.stamp = to_time(time_ns)
    message.header.frame_id = _BASE
    for name, value in zip(names, velocity, strict=True):
        part, _, axis = name.partition("_")
        setattr(getattr(message.twist, part), axis, float(value))
    return message


def path_message(poses: Array, time_ns: int) -> Path:
    """A path of poses x, y [m], yaw [rad] (k, 3) from where the base is at a time [ns]."""
    message = Path()
    message.header.stamp = to_time(time_ns)
    message.header.frame_id = _BASE
    for x, y, yaw in poses:
        turn = np.array([0.0, 0.0, np.sin(yaw / 2.0), np.cos(yaw / 2.0)])
        message.poses.append(pose_message(np.array([x, y, 0.0]), turn, _BASE, time_ns))
    return message
