"""Normalisation of vectors and images: statistics, and named schemes that use them.

A scheme is a pair of functions, forward and inverse; a further one is a further row of ``schemes.SCHEMES``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import model_serializer

from vla_policies.normalisation.schemes import LEROBOT_EPS, SCHEMES, Array, Scheme, SchemeName
from vla_policies.normalisation.stats import NormStats

__all__ = ["IMAGENET", "LEROBOT_EPS", "SCHEMES", "NormStats", "Normalisation", "Scheme", "SchemeName"]


@dataclass(frozen=True)
class Normalisation:
    """How one vector or image is normalised. ``identity`` leaves it as it is and needs no statistics.

    Attributes:
        scheme: a row of ``SCHEMES``; with ``joined`` the dimensions are those of ``parts``, one after the other.
        stats: what the scheme needs.
        parts: of a vector whose dimensions are not all normalised in one way.
    """

    scheme: SchemeName
    stats: NormStats | None = None
    parts: tuple[Normalisation, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.parts) != (self.scheme == "joined"):
            raise ValueError(f"expected parts exactly if the scheme is 'joined', found {len(self.parts)}")
        if any(part.stats is None for part in self.parts):
            raise ValueError("expected parts with statistics, which say how many dimensions they have")
        needs = SCHEMES[self.scheme].needs
        if (self.stats is None) != (not needs):
            without = self.scheme if not needs else "identity"
            raise ValueError(f"expected statistics exactly if the scheme is not '{without}', found {self.stats}")
        if self.stats is not None:
            self._require_usable(self.stats)

    def _require_usable(self, stats: NormStats) -> None:
        scheme = SCHEMES[self.scheme]
        missing = [name for name in scheme.needs if not getattr(stats, name)]
        if missing:
            raise ValueError(f"expected the statistics {list(scheme.needs)} with '{self.scheme}', found no {missing}")
        if stats.mask and not scheme.masks:
            raise ValueError(f"expected no mask with '{self.scheme}', which normalises every dimension")
        if self.scheme == "act_mean_std" and 0.0 in stats.std:
            raise ValueError(f"expected stds > 0 with 'act_mean_std', which divides by them, found {stats.std}")

    @property
    def size(self) -> int | None:
        """The number of dimensions; None: any."""
        if self.parts:
            return sum(part.size or 0 for part in self.parts)
        return None if self.stats is None else self.stats.size

    def forward(self, x: Array) -> Array:
        """Values (..., n) in their units to normalised ones, float64."""
        x = np.asarray(x, dtype=np.float64)
        if self.parts:
            return np.concatenate([part.forward(own) for part, own in self._split(x)], axis=-1)
        return x if self.stats is None else SCHEMES[self.scheme].forward(x, self.stats)

    def inverse(self, y: Array) -> Array:
        """Normalised values (..., n) to values in their units, float64."""
        y = np.asarray(y, dtype=np.float64)
        if self.parts:
            return np.concatenate([part.inverse(own) for part, own in self._split(y)], axis=-1)
        return y if self.stats is None else SCHEMES[self.scheme].inverse(y, self.stats)

    def _split(self, values: Array) -> list[tuple[Normalisation, Array]]:
        ends = np.cumsum([part.size or 0 for part in self.parts])
        return list(zip(self.parts, np.split(values, ends[:-1], axis=-1), strict=True))

    @model_serializer(mode="wrap")
    def _without_empty_parts(self, serialise: Callable[[Normalisation], dict[str, Any]]) -> dict[str, Any]:
        """In a file there are parts only where there are some."""
        return {name: value for name, value in serialise(self).items() if name != "parts" or value}


# Of the images that torchvision's backbones were trained on, RGB from 0 to 1.
IMAGENET = Normalisation("act_mean_std", NormStats(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)))
