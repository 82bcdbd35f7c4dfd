"""Poses of the tool: as they are, or as changes of the pose at the observation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from vla_core.embodiment.spaces import Representation
from vla_core.rotations import SIZES, from_matrix, to_matrix
from vla_policies.transforms.protocol import ACTION_ONLY, Array, Vector


@dataclass(frozen=True)
class PoseDelta:
    """Poses (position [m], then rotation) as changes of an earlier one; what is behind a pose stays as it is.

    Attributes:
        frame: whose axes a change is along: the robot's ``base``, or the ``tool`` itself, as it was before.
        since: the pose at the ``observation``, or that of the action before (``previous``), which for the first one is the same.
        rotation: the representation of the poses.
        change: that of the changes.
        start: the first dimension of the pose.
    """

    kind: Literal["pose_delta"]
    frame: Literal["base", "tool"]
    since: Literal["observation", "previous"] = "observation"
    rotation: Representation = "axis_angle"
    change: Representation = "axis_angle"
    start: int = 0
    of: tuple[Vector, ...] = ACTION_ONLY

    def size(self, dims: int) -> int:
        """See :class:`vla_policies.transforms.protocol.Transform`."""
        needed = self.start + 3 + SIZES[self.rotation]
        if dims < needed:
            raise ValueError(f"pose_delta: expected at least {needed} dimensions, found {dims}")
        return dims - SIZES[self.rotation] + SIZES[self.change]

    def forward(self, values: Array, anchor: Array) -> Array:
        """Poses (B, K, n) to changes."""
        positions, rotations, rest = self._split(values, self.rotation)
        first, turned = self._anchor(anchor)
        if self.since == "previous":
            first = np.concatenate([first, positions[:, :-1]], axis=1)
            turned = np.concatenate([turned, rotations[:, :-1]], axis=1)
        moved = positions - first
        if self.frame == "tool":
            return self._join(
                values, _turn(_back(turned), moved), from_matrix(_back(turned) @ rotations, self.change), rest
            )
        return self._join(values, moved, from_matrix(rotations @ _back(turned), self.change), rest)

    def inverse(self, values: Array, anchor: Array) -> Array:
        """Changes (B, K, m) to poses."""
        moved, changes, rest = self._split(values, self.change)
        position, rotation = (part[:, 0] for part in self._anchor(anchor))
        positions, rotations = np.empty_like(moved), np.empty_like(changes)
        before = position, rotation
        for k in range(values.shape[1]):
            position, rotation = before
            if self.frame == "tool":
                positions[:, k] = position + _turn(rotation, moved[:, k])
                rotations[:, k] = rotation @ changes[:, k]
            else:
                positions[:, k] = position + moved[:, k]
                rotations[:, k] = changes[:, k] @ rotation
            if self.since == "previous":
                before = positions[:, k], rotations[:, k]
        return self._join(values, positions, from_matrix(rotations, self.rotation), rest)

    def _anchor(self, anchor: Array) -> tuple[Array, Array]:
        """Position (B, 1, 3) and rotation (B, 1, 3, 3) at the observation."""
        position, rotation, _ = self._split(anchor[:, None], self.rotation)
        return position, rotation

    def _split(self, values: Array, representation: Representation) -> tuple[Array, Array, Array]:
        middle, end = self.start + 3, self.start + 3 + SIZES[representation]
        rotation = to_matrix(values[..., middle:end], representation)
        return values[..., self.start : middle], rotation, values[..., end:]

    def _join(self, values: Array, position: Array, rotation: Array, rest: Array) -> Array:
        return np.concatenate([values[..., : self.start], position, rotation, rest], axis=-1)


def _back(rotations: Array) -> Array:
    return np.swapaxes(rotations, -1, -2)


def _turn(rotations: Array, vectors: Array) -> Array:
    return np.asarray(np.einsum("...ij,...j->...i", rotations, vectors))
