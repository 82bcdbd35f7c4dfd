"""Statistics of a vector or of the channels of an image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from pydantic import model_serializer


@dataclass(frozen=True)
class NormStats:
    """Statistics, one number per dimension [its unit; images: 0 to 1]. What is not known is empty.

    A scheme asks for what it needs.

    Attributes:
        mean: and ``std``, which go together.
        std: at least 0.
        min: and ``max``, which go together.
        max: at least ``min``.
        q01: the quantiles of 1 % and 99 %, which go together.
        q99: at least ``q01``.
        mask: False in the dimensions that are not normalised, for schemes that leave some out; empty: all are.
    """

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    min: tuple[float, ...] = ()
    max: tuple[float, ...] = ()
    q01: tuple[float, ...] = ()
    q99: tuple[float, ...] = ()
    mask: tuple[bool, ...] = ()

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std):
            raise ValueError(f"expected as many means as stds, found {len(self.mean)} and {len(self.std)}")
        sizes = {field.name: len(getattr(self, field.name)) for field in fields(self)}
        known = {name: size for name, size in sizes.items() if size}
        if len(set(known.values())) != 1 or not known.keys() - {"mask"}:
            raise ValueError(f"expected statistics of one size, found numbers of values {sizes}")
        if not np.isfinite([self.mean, self.std]).all() or any(value < 0 for value in self.std):
            raise ValueError(f"expected finite means and stds >= 0, found mean {self.mean}, std {self.std}")
        for low, high in (("min", "max"), ("q01", "q99")):
            self._require_ordered(low, high)

    def _require_ordered(self, low: str, high: str) -> None:
        lows, highs = getattr(self, low), getattr(self, high)
        if len(lows) != len(highs) or not np.isfinite([lows, highs]).all() or (np.array(lows) > np.array(highs)).any():
            raise ValueError(f"expected finite {low} and {high}, {low} <= {high}, found {low} {lows}, {high} {highs}")

    @property
    def size(self) -> int:
        """The number of dimensions."""
        return max(len(getattr(self, field.name)) for field in fields(self))

    @model_serializer(mode="wrap")
    def _known(self, serialise: Callable[[NormStats], dict[str, Any]]) -> dict[str, Any]:
        """In a file there is only what is known."""
        return {name: value for name, value in serialise(self).items() if value}
