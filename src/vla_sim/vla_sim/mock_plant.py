"""A plant without physics, as mock_components/GenericSystem of ros2_control: commands are states in the next cycle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from vla_core.errors import choice
from vla_sim.errors import SimulationError
from vla_sim.plant import Array, JointState, Pose, World

_BAR = 16  # the moving bar crosses the image in this many frames


class MockPlant:
    """Mirrors commands; needs neither MuJoCo nor a way to render.

    As with the real mock, no effort is measured (NaN) and velocities are differences of positions. Fingers are wherever they
    are sent. Objects stay where they are put. Cameras give a test pattern that differs from frame to frame.

    Args:
        joint_names: of the arm.
        cameras: roles for which there are images.
        period_s: of a step [s].
    """

    def __init__(self, joint_names: Sequence[str], cameras: Sequence[str], period_s: float = 0.001) -> None:
        self._joint_names = tuple(joint_names)
        self._frames = dict.fromkeys(cameras, 0)
        self.period_s = period_s
        self.reset(World(np.zeros(len(self._joint_names)), 0.0))

    @property
    def joint_names(self) -> tuple[str, ...]:
        return self._joint_names

    def reset(self, world: World) -> None:
        self._position = np.array(world.arm_position, dtype=np.float64)
        self._velocity = np.zeros_like(self._position)
        self._fingers = np.full(2, world.finger_position)
        self._finger_velocity = np.zeros(2)
        self._objects = dict(world.objects)

    def step(self, position: Array, velocity: Array, finger_position: float, finger_force: float) -> None:
        fingers = np.full(2, finger_position)
        self._velocity = (position - self._position) / self.period_s
        self._finger_velocity = (fingers - self._fingers) / self.period_s
        self._position, self._fingers = np.array(position), fingers

    def joint_state(self) -> JointState:
        return JointState(self._position.copy(), self._velocity.copy(), np.full_like(self._position, np.nan))

    def finger_state(self) -> JointState:
        return JointState(self._fingers.copy(), self._finger_velocity.copy(), np.full(2, np.nan))

    def object_poses(self) -> Mapping[str, Pose]:
        return dict(self._objects)

    def render(self, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        """A test pattern: red grows to the right, green downwards, and a blue bar moves on with every frame.

        The number of the frame stands in the first row: bit k is pixel k from the left, white or black.
        """
        if camera not in self._frames:
            raise SimulationError(f"camera: expected {choice(self._frames)}, found '{camera}'")
        frame = self._frames[camera]
        self._frames[camera] += 1
        image = np.zeros((height, width, 3), dtype=np.uint8)
        image[:, :, 0] = np.linspace(0, 255, width)
        image[:, :, 1] = np.linspace(0, 255, height)[:, None]
        left = frame % _BAR * width // _BAR
        image[:, left : left + max(1, width // _BAR), 2] = 255
        bits = frame >> np.arange(min(width, 32)) & 1
        image[0, : len(bits)] = 255 * bits[:, None]
        return image
