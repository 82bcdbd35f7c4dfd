"""What is controlled: a robot's joints, fingers and cameras, and the objects around it. The port, and its values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pose:
    """A pose in the robot's base frame.

    Attributes:
        position: (3,) [m].
        quaternion: (4,) w, x, y, z, of length 1.
    """

    position: Array
    quaternion: Array

    @staticmethod
    def at(x: float, y: float, z: float, yaw: float = 0.0) -> Pose:
        """At a position [m], turned about the vertical [rad]."""
        return Pose(np.array([x, y, z]), np.array([np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)]))

    @property
    def yaw(self) -> float:
        """Direction of the x axis, seen from above [rad]."""
        w, x, y, z = self.quaternion
        return float(np.arctan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z)))


@dataclass(frozen=True, eq=False)
class World:
    """Where everything begins.

    Attributes:
        arm_position: (n,) [rad or m].
        finger_position: of each finger [m].
        objects: name to pose; every object of the plant.
    """

    arm_position: Array
    finger_position: float
    objects: Mapping[str, Pose] = field(default_factory=dict)


class JointState(NamedTuple):
    """Of n joints: position [rad or m], velocity [rad/s or m/s], effort [Nm or N]; NaN where it is not measured."""

    position: Array
    velocity: Array
    effort: Array


class Plant(Protocol):
    """Physics, or what stands for it. Nothing in it knows of controllers, time or messages."""

    @property
    def joint_names(self) -> tuple[str, ...]: ...

    @property
    def period_s(self) -> float:
        """How far a step goes [s]."""
        ...

    def reset(self, world: World) -> None:
        """Puts the world to its start, at rest."""
        ...

    def step(self, position: Array, velocity: Array, finger_position: float, finger_force: float) -> None:
        """Goes on by one period.

        Args:
            position, velocity: (n,) that the joints' own position controllers follow, both finite.
            finger_position: that each finger is sent to [m].
            finger_force: the largest that each finger may use [N].
        """
        ...

    def joint_state(self) -> JointState:
        """Of the arm (n,)."""
        ...

    def finger_state(self) -> JointState:
        """Of the fingers (2,) [m, m/s, N]; (0,) if there are none."""
        ...

    def object_poses(self) -> Mapping[str, Pose]: ...

    def render(self, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        """An image (height, width, 3), RGB, of the camera with this role.

        Raises:
            SimulationError: there is no such camera, or this machine cannot render.
        """
        ...
