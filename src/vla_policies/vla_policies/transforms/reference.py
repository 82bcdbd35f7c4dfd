"""Actions as offsets from the joint positions at the observation, or from the actions before them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from vla_core.embodiment import Embodiment
from vla_policies.transforms.protocol import ACTION_ONLY, Array, Vector

if TYPE_CHECKING:
    from vla_policies.spec import PolicySpec


@dataclass(frozen=True, eq=False)
class ActionReference:
    """Actions as offsets from the joint positions at the observation, in the dimensions that have such a position.

    Attributes:
        anchored: indices of these dimensions in the action.
        anchors: indices of their positions in ``qpos``, in the same order.
    """

    anchored: NDArray[np.intp]
    anchors: NDArray[np.intp]

    @staticmethod
    def of(spec: PolicySpec, embodiment: Embodiment) -> ActionReference:
        """Matches actions and positions by name; with ``action_reference: absolute`` nothing is matched and nothing changes."""
        positions = list(embodiment.names_of(embodiment.proprioception["qpos"]))
        pairs = [
            (index, positions.index(name))
            for index, name in enumerate(embodiment.action_names)
            if spec.action_reference == "qpos" and name in positions and name not in spec.absolute_actions
        ]
        indices = np.array(pairs, dtype=np.intp).reshape(-1, 2)
        return ActionReference(anchored=indices[:, 0], anchors=indices[:, 1])

    def to_offsets(self, actions: NDArray[np.float64], qpos: NDArray[np.float64]) -> NDArray[np.float64]:
        """Actions (B, K, A) in their units, positions (B, n) at the observation; returns (B, K, A)."""
        offsets = actions.copy()
        offsets[..., self.anchored] -= qpos[:, None, self.anchors]
        return offsets

    def to_actions(self, offsets: NDArray[np.float64], qpos: NDArray[np.float64]) -> NDArray[np.float64]:
        """Undoes :meth:`to_offsets`."""
        actions = offsets.copy()
        actions[..., self.anchored] += qpos[:, None, self.anchors]
        return actions


@dataclass(frozen=True)
class StepDeltas:
    """Each action as its change since the one before it, the first since the position at the observation.

    Attributes:
        mask: the dimensions that are changes; the others stay as they are.
    """

    kind: Literal["step_deltas"]
    mask: tuple[bool, ...]
    of: tuple[Vector, ...] = ACTION_ONLY

    def size(self, dims: int) -> int:
        """See :class:`vla_policies.transforms.protocol.Transform`."""
        if dims != len(self.mask):
            raise ValueError(f"step_deltas: expected {len(self.mask)} dimensions, found {dims}")
        return dims

    def forward(self, values: Array, anchor: Array) -> Array:
        """Positions (B, K, n) to changes."""
        return np.where(self.mask, np.diff(values, axis=-2, prepend=anchor[:, None, : values.shape[-1]]), values)

    def inverse(self, values: Array, anchor: Array) -> Array:
        """Changes (B, K, n) to positions."""
        return np.where(self.mask, np.cumsum(values, axis=-2) + anchor[:, None, : values.shape[-1]], values)
