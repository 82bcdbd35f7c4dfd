"""Joints that turn the other way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from vla_policies.transforms.protocol import POSITION_AND_ACTION, Array, Vector


@dataclass(frozen=True)
class Signs:
    """Dimensions times 1 or -1, as openpi's ALOHA (1, -1, -1, 1, 1, 1, 1 for each arm)."""

    kind: Literal["signs"]
    signs: tuple[Literal[1, -1], ...]
    of: tuple[Vector, ...] = POSITION_AND_ACTION

    def size(self, dims: int) -> int:
        """See :class:`vla_policies.transforms.protocol.Transform`."""
        if dims != len(self.signs):
            raise ValueError(f"signs: expected {len(self.signs)} dimensions, found {dims}")
        return dims

    def forward(self, values: Array, anchor: Array) -> Array:
        """The robot's directions to the network's."""
        return np.asarray(values * np.array(self.signs))

    def inverse(self, values: Array, anchor: Array) -> Array:
        """And back."""
        return self.forward(values, anchor)
