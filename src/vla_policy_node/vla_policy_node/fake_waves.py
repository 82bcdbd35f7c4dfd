"""What the fake policy asks for: a slow wave, in every action space."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vla_core.embodiment import Embodiment
from vla_core.rotations import from_matrix

Array = NDArray[np.float64]

_RATE = 2 * np.pi * 0.25  # [rad/s]
_METRES_PER_RADIAN = 0.5  # of the amplitude, where it is the tool or the base that goes to and fro
_SIDEWAYS = 1  # the axis of a tool's place that does


class Wave:
    """The first joint, the tool (to its side) or the base (forwards and back) goes to and fro.

    Args:
        embodiment: of the robot.
        amplitude: of the first joint [rad]; half as many metres of a tool or a base.
        qpos: where the robot was when it began.
    """

    def __init__(self, embodiment: Embodiment, amplitude: float, qpos: Array) -> None:
        self._action = embodiment.action
        self._step_s = embodiment.step_ns * 1e-9
        joints = qpos[: len(embodiment.joints)]
        self._rest = np.zeros(len(embodiment.action_names))
        self._moved, self._size = 0, amplitude
        if self._action.kind == "joint_position":
            self._rest[: len(joints)] = joints
        elif self._action.kind != "joint_delta":
            self._size = amplitude * _METRES_PER_RADIAN
        if self._action.kind in ("tcp_pose", "tcp_delta"):
            pose = self._pose(embodiment, joints)
            self._rest[: len(pose)], self._moved = pose, _SIDEWAYS
        if embodiment.gripper is not None:
            self._rest[-1] = embodiment.gripper.open

    def actions(self, times: Array) -> Array:
        """Of times since it began (K,) [s], the first one that of the observation: (K, action_dim)."""
        actions = np.tile(self._rest, (len(times), 1))
        actions[:, self._moved] += self._meant(times)
        return actions

    def _meant(self, times: Array) -> Array:
        kind, since = self._action.kind, self._action.since
        if kind in ("joint_position", "tcp_pose"):
            return self._at(times)
        if kind == "base_velocity":
            return np.asarray(self._size * _RATE * np.cos(_RATE * times))
        if since == "previous":
            return self._at(times + self._step_s) - self._at(times)
        after = times + self._step_s if kind == "base_waypoints" else times
        return self._at(after) - self._at(times[:1])

    def _at(self, times: Array) -> Array:
        return np.asarray(self._size * np.sin(_RATE * times))

    def _pose(self, embodiment: Embodiment, joints: Array) -> Array:
        """Of the tool where the joints are; or no change of it."""
        if self._action.kind == "tcp_delta":
            return np.concatenate([np.zeros(3), from_matrix(np.eye(3), self._action.rotation)])
        from vla_core.kinematics import KinematicModel  # MuJoCo: only for such a robot

        place, turn = KinematicModel(embodiment).tcp_pose(joints)
        return np.concatenate([place, from_matrix(turn, self._action.rotation)])
