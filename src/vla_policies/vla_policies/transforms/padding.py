"""Zeros behind the robot's dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field as Constraint

from vla_policies.transforms.protocol import POSITION_AND_ACTION, Array, Vector

Count = Annotated[int, Constraint(gt=0)]


@dataclass(frozen=True)
class Padding:
    """A vector of ``dims`` with zeros behind it, up to ``padded``. Networks that pad by themselves need none."""

    kind: Literal["padding"]
    dims: Count
    padded: Count
    of: tuple[Vector, ...] = POSITION_AND_ACTION

    def __post_init__(self) -> None:
        if self.padded < self.dims:
            raise ValueError(f"padding: expected at least {self.dims} dimensions in the end, found {self.padded}")

    def size(self, dims: int) -> int:
        """See :class:`vla_policies.transforms.protocol.Transform`."""
        if dims != self.dims:
            raise ValueError(f"padding: expected {self.dims} dimensions, found {dims}")
        return self.padded

    def forward(self, values: Array, anchor: Array) -> Array:
        """With zeros."""
        return np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, self.padded - self.dims)])

    def inverse(self, values: Array, anchor: Array) -> Array:
        """Without what is behind the dimensions."""
        return values[..., : self.dims]
