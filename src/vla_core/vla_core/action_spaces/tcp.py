"""Poses of the tool for a robot that is commanded in joint positions: differential inverse kinematics along the chunk."""

from __future__ import annotations

from typing import Literal

import numpy as np

from vla_core.action_chunk import ActionChunk
from vla_core.action_spaces.poses import poses_of, require_poses
from vla_core.action_spaces.space import Commanded, Resolved, in_axes
from vla_core.embodiment import Embodiment, JointLimits
from vla_core.errors import ChunkError
from vla_core.kinematics import DifferentialIK, KinematicModel, Reached
from vla_core.motion.polynomial import Array
from vla_core.rotations import from_matrix


class TcpPoses:
    """Poses, or changes of poses, as joint positions.

    One action after the other, from where the joints were commanded to be at the first action's time. The first pose that cannot
    be reached within the tolerances of ``kinematics`` ends the chunk, and so does one that asks a joint to move faster than it
    can, as poses near a singularity do: the arm slows down along what is left.

    Args:
        embodiment: with ``kinematics``.
        model: its model.

    Raises:
        EmbodimentMismatch: its actions are not poses.
    """

    commands: Literal["position"] = "position"

    def __init__(self, embodiment: Embodiment, model: KinematicModel) -> None:
        require_poses(embodiment)
        self.names = embodiment.joint_names
        self.limits = JointLimits.of(embodiment)
        self._action = embodiment.action
        self._model = model
        self._inverse: DifferentialIK | None = None

    def begin(self, position: Array) -> Array:
        """The joints' own positions; where the pose leaves a choice, they stay near to them or to the embodiment's posture."""
        posture = np.array(self._model.settings.posture) if self._model.settings.posture else position
        self._inverse = DifferentialIK(self._model, self.limits, posture)
        return position

    def pose(self, axes: Array) -> tuple[Array, Array]:
        """Place (3,) [m] and quaternion x, y, z, w (4,) of the tool at joint positions (n,)."""
        place, turn = self._model.tcp_pose(axes)
        return place, from_matrix(turn, "quaternion_xyzw")

    def resolve(self, chunk: ActionChunk, commanded: Commanded) -> Resolved:
        """See :class:`vla_core.action_spaces.space.CommandSpace`."""
        here = commanded(chunk.start_ns)
        inverse = self._inverse or DifferentialIK(self._model, self.limits, here)
        poses = poses_of(chunk, self._action, *self._model.tcp_pose(here))
        found: list[Array] = []
        step, shortened = np.zeros_like(here), ""
        for place, turn in zip(poses.places, poses.turns, strict=True):
            reached = inverse.reach(place, turn, here + step)
            shortened = self._missed(reached, chunk, len(found), place)
            if found and not shortened:
                step = reached.position - here  # the path goes on as it came: half of the iterations
                shortened = self._runs_away(step, chunk, len(found))
            if shortened:
                break
            here = reached.position
            found.append(here)
        if not found:
            raise ChunkError(shortened)
        return Resolved(in_axes(chunk, self.names, np.array(found), poses.gripper), shortened)

    def _runs_away(self, step: Array, chunk: ActionChunk, index: int) -> str:
        """Why the joints cannot move by a step in time; empty if they can."""
        speed = np.abs(step) / (chunk.step_ns * 1e-9)
        joint = int(np.argmax(speed / self.limits.velocity))
        if speed[joint] <= self.limits.velocity[joint]:
            return ""
        return (
            f"chunk {chunk.sequence}: the pose of action {index} asks {self.names[joint]} to move at {speed[joint]:.1f} rad/s, "
            f"expected at most {self.limits.velocity[joint]:.1f}: too fast, or too near a singularity"
        )

    def _missed(self, reached: Reached, chunk: ActionChunk, index: int, place: Array) -> str:
        """Why a pose counts as out of reach; empty if it does not."""
        settings = self._model.settings
        if reached.distance <= settings.position_tolerance and reached.angle <= settings.rotation_tolerance:
            return ""
        return (
            f"chunk {chunk.sequence}: the pose of action {index} at {place.round(3).tolist()} m cannot be reached: nearest is "
            f"{reached.distance * 1e3:.0f} mm and {reached.angle:.2f} rad from it, expected at most "
            f"{settings.position_tolerance * 1e3:.0f} mm and {settings.rotation_tolerance:.2f} rad"
        )
