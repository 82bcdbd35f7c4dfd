"""Grippers: metres of width, shares from closed to open or from open to closed, signs, and the linkage of ALOHA's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from vla_policies.transforms.protocol import POSITION_AND_ACTION, Array, Vector


@dataclass(frozen=True)
class GripperRange:
    """Positions between closed and open as positions between two other numbers, in a straight line.

    So a finger of 0 to 0.04 m becomes 0 to 1 (open is 1: OXE, OpenVLA), 1 to 0 (closed is 1: pi0), or -1 to 1 (LIBERO's
    is 1 to -1).

    Attributes:
        index: its dimension.
        closed: the robot's position when closed.
        open: and when open.
        to_closed: the network's.
        to_open: the network's.
        decide: what comes back is either closed or open, whichever is nearer.
    """

    kind: Literal["gripper_range"]
    index: int
    closed: float
    open: float
    to_closed: float = 0.0
    to_open: float = 1.0
    decide: bool = False
    of: tuple[Vector, ...] = POSITION_AND_ACTION

    def __post_init__(self) -> None:
        if self.closed == self.open or self.to_closed == self.to_open:
            raise ValueError("gripper_range: expected two positions that differ on each side")

    def size(self, dims: int) -> int:
        """See :class:`vla_policies.transforms.protocol.Transform`."""
        return _require_index("gripper_range", self.index, dims)

    def forward(self, values: Array, anchor: Array) -> Array:
        """The robot's positions to the network's."""
        share = (values[..., self.index] - self.closed) / (self.open - self.closed)
        return _with(values, self.index, self.to_closed + share * (self.to_open - self.to_closed))

    def inverse(self, values: Array, anchor: Array) -> Array:
        """And back; with ``decide`` to the nearer end."""
        share = (values[..., self.index] - self.to_closed) / (self.to_open - self.to_closed)
        if self.decide:
            share = np.where(share > 0.5, 1.0, 0.0)
        return _with(values, self.index, self.closed + share * (self.open - self.closed))


# Physical-Intelligence/openpi, src/openpi/policies/aloha_policy.py: the puppet's gripper [m], its linkage [m], angles [rad]
_LINEAR = (0.01844, 0.05800)
_ARM, _HORN = 0.036, 0.022
_OBSERVED_ANGLE = (0.5476, 1.6296)
_COMMANDED_ANGLE = (-0.6213, 1.4910)
_ANGLE_OFFSET = 0.5476


@dataclass(frozen=True)
class AlohaGripperState:
    """ALOHA's measured gripper, 0 closed to 1 open of its way in metres, as 0 to 1 of the angle of pi's motor.

    Attributes:
        indices: dimensions of the grippers.
    """

    kind: Literal["aloha_gripper_state"]
    indices: tuple[int, ...] = (6, 13)
    of: tuple[Vector, ...] = ("qpos",)

    def size(self, dims: int) -> int:
        """See :class:`vla_policies.transforms.protocol.Transform`."""
        return _require_index("aloha_gripper_state", max(self.indices), dims)

    def forward(self, values: Array, anchor: Array) -> Array:
        """Shares of the way to shares of the angle."""
        width = _from_share(values[..., self.indices], _LINEAR)
        sine = (_HORN**2 + width**2 - _ARM**2) / (2.0 * _HORN * width)
        return _with(values, self.indices, _share(np.arcsin(np.clip(sine, -1.0, 1.0)), _OBSERVED_ANGLE))

    def inverse(self, values: Array, anchor: Array) -> Array:
        """And back."""
        angle = _from_share(values[..., self.indices], _OBSERVED_ANGLE)
        # the positive root of width^2 - 2 horn sin(angle) width + horn^2 - arm^2 = 0
        height = _HORN * np.sin(angle)
        width = height + np.sqrt(height**2 + _ARM**2 - _HORN**2)
        return _with(values, self.indices, _share(width, _LINEAR))


@dataclass(frozen=True)
class AlohaGripperAction:
    """ALOHA's commanded gripper, 0 closed to 1 open, as the angle that pi's policies give.

    Attributes:
        indices: dimensions of the grippers.
    """

    kind: Literal["aloha_gripper_action"]
    indices: tuple[int, ...] = (6, 13)
    of: tuple[Vector, ...] = ("action",)

    def size(self, dims: int) -> int:
        """See :class:`vla_policies.transforms.protocol.Transform`."""
        return _require_index("aloha_gripper_action", max(self.indices), dims)

    def forward(self, values: Array, anchor: Array) -> Array:
        """The robot's commands to the network's."""
        return _with(values, self.indices, _from_share(values[..., self.indices], _COMMANDED_ANGLE) - _ANGLE_OFFSET)

    def inverse(self, values: Array, anchor: Array) -> Array:
        """And back."""
        return _with(values, self.indices, _share(values[..., self.indices] + _ANGLE_OFFSET, _COMMANDED_ANGLE))


def _share(values: Array, ends: tuple[float, float]) -> Array:
    return np.asarray((values - ends[0]) / (ends[1] - ends[0]))


def _from_share(values: Array, ends: tuple[float, float]) -> Array:
    return np.asarray(values * (ends[1] - ends[0]) + ends[0])


def _with(values: Array, index: int | tuple[int, ...], new: Array) -> Array:
    changed = np.array(values, dtype=np.float64)
    changed[..., index] = new
    return changed


def _require_index(kind: str, index: int, dims: int) -> int:
    if not 0 <= index < dims:
        raise ValueError(f"{kind}: expected one of {dims} dimensions, found number {index}")
    return dims
