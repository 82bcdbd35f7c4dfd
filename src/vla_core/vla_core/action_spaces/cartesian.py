"""Poses of the tool for a Cartesian controller, which has its own inverse kinematics: six axes with limits of their own."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.spatial.transform import Rotation

from vla_core.action_chunk import ActionChunk
from vla_core.action_spaces.poses import poses_of, require_poses
from vla_core.action_spaces.space import Commanded, Resolved, in_axes
from vla_core.embodiment import Embodiment, JointLimits
from vla_core.embodiment.limits import unbounded
from vla_core.embodiment.schema import VelocityBound
from vla_core.embodiment.spaces import CartesianLimit
from vla_core.errors import ChunkError, EmbodimentMismatch
from vla_core.kinematics import KinematicModel
from vla_core.motion.polynomial import Array

AXES = ("tcp_x", "tcp_y", "tcp_z", "tcp_rotation_x", "tcp_rotation_y", "tcp_rotation_z")
_FAR = 100.0  # [m]
_MOST_TURNED = 2.8  # [rad] from where the arm was armed: at pi the rotation vector turns round


class CartesianPoses:
    """Poses, or changes of poses, as positions of six axes: the place, and the rotation vector from the rotation at arming.

    What the smoother keeps of a rotation vector r holds for the tool too: its angular velocity is never larger than r's, because
    the map from the one to the other never stretches; its angular acceleration is at most r's and half the square of r's speed.

    Args:
        embodiment: with ``kinematics`` and ``cartesian``.
        model: its model, for where the tool is at arming.

    Attributes:
        origin: (3, 3) the tool's rotation at arming, from which those of the axes are told.

    Raises:
        EmbodimentMismatch: its actions are not poses, or it has no Cartesian limits.
    """

    names = AXES
    commands: Literal["position"] = "position"

    def __init__(self, embodiment: Embodiment, model: KinematicModel) -> None:
        require_poses(embodiment)
        if embodiment.cartesian is None:
            raise EmbodimentMismatch(
                f"'{embodiment.name}': cartesian: missing; expected the limits of the tool, which the controller's pose keeps"
            )
        workspace = model.settings.workspace
        self.limits = _limits(
            embodiment.cartesian.position,
            embodiment.cartesian.rotation,
            np.array(workspace.low if workspace else [-_FAR] * 3),
            np.array(workspace.high if workspace else [_FAR] * 3),
        )
        self._action = embodiment.action
        self._model = model
        self.origin = np.eye(3)

    def begin(self, position: Array) -> Array:
        """Where the tool is when the joints stand at a position; rotations are told from that one, from now on."""
        place, self.origin = self._model.tcp_pose(position)
        return np.concatenate([place, np.zeros(3)])

    def resolve(self, chunk: ActionChunk, commanded: Commanded) -> Resolved:
        """See :class:`vla_core.action_spaces.space.CommandSpace`."""
        here = commanded(chunk.start_ns)
        poses = poses_of(chunk, self._action, here[:3], turned_by(here, self.origin))
        turned = Rotation.from_matrix(poses.turns @ self.origin.T).as_rotvec()
        angles = np.linalg.norm(turned, axis=1)
        count = int(np.argmax(angles > _MOST_TURNED)) if (angles > _MOST_TURNED).any() else len(angles)
        shortened = ""
        if count < len(angles):
            shortened = (
                f"chunk {chunk.sequence}: the pose of action {count} is turned by {angles[count]:.2f} rad from that at arming, "
                f"expected at most {_MOST_TURNED}"
            )
        if count == 0:
            raise ChunkError(shortened)
        axes = np.concatenate([poses.places, turned], axis=1)[:count]
        return Resolved(in_axes(chunk, AXES, axes, poses.gripper), shortened)


def pose_at(axes: Array, origin: Array) -> tuple[Array, Array]:
    """Place (3,) [m] and quaternion x, y, z, w (4,) of the tool, from its axes (6,) and its rotation (3, 3) at arming."""
    return axes[:3], Rotation.from_matrix(turned_by(axes, origin)).as_quat(canonical=True)


def turned_by(axes: Array, origin: Array) -> Array:
    """Rotation (3, 3) of the tool at a position of the axes (6,), with that at arming."""
    return np.asarray(Rotation.from_rotvec(axes[3:6]).as_matrix() @ origin)


def _limits(position: CartesianLimit, rotation: CartesianLimit, low: Array, high: Array) -> JointLimits:
    """Of the six axes. The limits of a vector's length are kept where each of its parts keeps a share of them."""
    share = 1.0 / np.sqrt(3.0)
    parts = [share * np.array([kind.velocity, kind.acceleration, kind.jerk]) for kind in (position, rotation)]
    velocity, acceleration, jerk = np.repeat(np.array(parts), 3, axis=0).T
    turned = np.full(3, np.pi)
    bounds: list[VelocityBound] = [unbounded(float(value)) for value in velocity]
    offset, gain, at = (np.array([getattr(b, name) for b in bounds]) for name in ("offset", "gain", "position"))
    return JointLimits(
        position_min=np.concatenate([low, -turned]),
        position_max=np.concatenate([high, turned]),
        velocity=velocity,
        acceleration=acceleration,
        jerk=jerk,
        upper_offset=offset,
        upper_gain=gain,
        upper_position=at,
        lower_offset=offset,
        lower_gain=gain,
        lower_position=at,
    )
