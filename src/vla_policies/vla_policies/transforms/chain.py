"""The transforms of a policy, one after the other: ``spec.transforms`` of its ``config.yaml``.

They run in the order of the list between the robot and what is the same for every policy: offsets from ``qpos``
(``action_reference``), then normalisation. What a network outputs goes back in the opposite order. A further kind is a further
file here and a further name in ``TransformConfig``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field as Constraint

from vla_policies.transforms.grippers import AlohaGripperAction, AlohaGripperState, GripperRange
from vla_policies.transforms.padding import Padding
from vla_policies.transforms.poses import PoseDelta
from vla_policies.transforms.protocol import Array, Transform
from vla_policies.transforms.reference import StepDeltas
from vla_policies.transforms.rotations import RotationChange
from vla_policies.transforms.signs import Signs

TransformConfig = Annotated[
    AlohaGripperAction | AlohaGripperState | GripperRange | Padding | PoseDelta | RotationChange | Signs | StepDeltas,
    Constraint(discriminator="kind"),
]

_POSITIONS, _ACTIONS = "qpos", "action"


class Chain:
    """Transforms in the order from the robot to the network."""

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self._transforms = tuple(transforms)

    def size(self, vector: str, dims: int) -> int:
        """Dimensions of a vector with ``dims`` as the network has it. Raises ValueError if a transform may not have so many."""
        for transform in self._of(vector):
            dims = transform.size(dims)
        return dims

    def state(self, vector: str, values: Array) -> Array:
        """Proprioception (B, n) as the network has it."""
        for transform in self._of(vector):
            values = transform.forward(values, values)
        return values

    def actions(self, actions: Array, qpos: Array) -> Array:
        """Actions (B, K, n) as the network has them, of the robot's, with its positions (B, m)."""
        for transform, anchor in zip(self._transforms, self._anchors(qpos), strict=True):
            if _ACTIONS in transform.of:
                actions = transform.forward(actions, anchor)
        return actions

    def restored(self, actions: Array, qpos: Array) -> Array:
        """Undoes :meth:`actions`."""
        for transform, anchor in reversed(list(zip(self._transforms, self._anchors(qpos), strict=True))):
            if _ACTIONS in transform.of:
                actions = transform.inverse(actions, anchor)
        return actions

    def _of(self, vector: str) -> list[Transform]:
        return [transform for transform in self._transforms if vector in transform.of]

    def _anchors(self, qpos: Array) -> list[Array]:
        """The positions in front of each transform."""
        anchors = []
        values = np.asarray(qpos)
        for transform in self._transforms:
            anchors.append(values)
            if _POSITIONS in transform.of:
                values = transform.forward(values, values)
        return anchors
