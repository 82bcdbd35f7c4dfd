"""Normalisation of vectors and images: statistics, and named schemes that use them.

A scheme is a pair of functions, forward and inverse; a further one is a further row of ``schemes.SCHEMES``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vla_policies.normalisation.schemes import LEROBOT_EPS, SCHEMES, Array, Scheme, SchemeName
from vla_policies.normalisation.stats import NormStats

__all__ = ["IMAGENET", "LEROBOT_EPS", "SCHEMES", "NormStats", "Normalisation", "Scheme", "SchemeName"]

_NOTHING = NormStats(mean=(0.0,), std=(1.0,))  # for schemes that look at no statistics


@dataclass(frozen=True)
class Normalisation:
    """How one vector or image is normalised. ``identity`` leaves it as it is and needs no statistics."""

    scheme: SchemeName
    stats: NormStats | None = None

    def __post_init__(self) -> None:
        scheme = SCHEMES[self.scheme]
        if (self.stats is None) != (not scheme.needs):
            without = self.scheme if not scheme.needs else "identity"
            raise ValueError(f"expected statistics exactly if the scheme is not '{without}', found {self.stats}")
        if self.stats is None:
            return
        missing = [name for name in scheme.needs if not getattr(self.stats, name)]
        if missing:
            raise ValueError(f"expected the statistics {list(scheme.needs)} with '{self.scheme}', found no {missing}")
        if self.stats.mask and not scheme.masks:
            raise ValueError(f"expected no mask with '{self.scheme}', which normalises every dimension")
        if self.scheme == "act_mean_std" and 0.0 in self.stats.std:
            raise ValueError(f"expected stds > 0 with 'act_mean_std', which divides by them, found {self.stats.std}")

    def forward(self, x: Array) -> Array:
        """Values (..., n) in their units to normalised ones, float64."""
        return SCHEMES[self.scheme].forward(np.asarray(x, dtype=np.float64), self.stats or _NOTHING)

    def inverse(self, y: Array) -> Array:
        """Normalised values (..., n) to values in their units, float64."""
        return SCHEMES[self.scheme].inverse(np.asarray(y, dtype=np.float64), self.stats or _NOTHING)


# Of the images that torchvision's backbones were trained on, RGB from 0 to 1.
IMAGENET = Normalisation("act_mean_std", NormStats(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)))
