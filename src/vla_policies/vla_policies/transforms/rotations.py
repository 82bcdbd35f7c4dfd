"""A rotation within a vector, in another representation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from vla_core.embodiment.spaces import Representation
from vla_core.rotations import SIZES, from_matrix, to_matrix
from vla_policies.transforms.protocol import POSITION_AND_ACTION, Array, Vector


@dataclass(frozen=True)
class RotationChange:
    """A rotation within a vector in another representation; what is behind it moves as the sizes differ.

    Attributes:
        start: its first dimension.
        robot: as the robot has it.
        network: as the network has it.
    """

    kind: Literal["rotation"]
    start: int
    robot: Representation
    network: Representation
    of: tuple[Vector, ...] = POSITION_AND_ACTION

    def size(self, dims: int) -> int:
        """See :class:`vla_policies.transforms.protocol.Transform`."""
        if not 0 <= self.start <= dims - SIZES[self.robot]:
            raise ValueError(
                f"rotation: expected {SIZES[self.robot]} numbers ({self.robot}) from dimension {self.start} on, found {dims} "
                "dimensions"
            )
        return dims - SIZES[self.robot] + SIZES[self.network]

    def forward(self, values: Array, anchor: Array) -> Array:
        """As the network has it."""
        return self._changed(values, self.robot, self.network)

    def inverse(self, values: Array, anchor: Array) -> Array:
        """As the robot has it."""
        return self._changed(values, self.network, self.robot)

    def _changed(self, values: Array, before: Representation, after: Representation) -> Array:
        end = self.start + SIZES[before]
        rotation = from_matrix(to_matrix(values[..., self.start : end], before), after)
        return np.concatenate([values[..., : self.start], rotation, values[..., end:]], axis=-1)
