"""Normalisation of vectors and images: statistics, and named schemes that use them.

A scheme is a pair of functions, forward and inverse. Those of ACT are here; a further one is a further row of ``SCHEMES``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
SchemeName = Literal["identity", "act_mean_std", "lerobot_mean_std"]

LEROBOT_EPS = 1e-8


@dataclass(frozen=True)
class NormStats:
    """Statistics of a vector or of the channels of an image, one number per dimension [its unit; images: 0 to 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or not self.mean:
            raise ValueError(f"expected as many means as stds, found {len(self.mean)} and {len(self.std)}")
        values = np.array([self.mean, self.std])
        if not np.isfinite(values).all() or (values[1] < 0).any():
            raise ValueError(f"expected finite means and stds >= 0, found mean {self.mean}, std {self.std}")


@dataclass(frozen=True)
class Normalisation:
    """How one vector or image is normalised. ``identity`` leaves it as it is and needs no statistics."""

    scheme: SchemeName
    stats: NormStats | None = None

    def __post_init__(self) -> None:
        if (self.stats is None) != (self.scheme == "identity"):
            raise ValueError(f"expected statistics exactly if the scheme is not 'identity', found {self.stats}")
        if self.scheme == "act_mean_std" and self.stats is not None and 0.0 in self.stats.std:
            raise ValueError(f"expected stds > 0 with 'act_mean_std', which divides by them, found {self.stats.std}")

    def forward(self, x: Array) -> Array:
        """Values (..., n) in their units to normalised ones, float64."""
        x = np.asarray(x, dtype=np.float64)
        return x if self.stats is None else SCHEMES[self.scheme].forward(x, self.stats)

    def inverse(self, y: Array) -> Array:
        """Normalised values (..., n) to values in their units, float64."""
        y = np.asarray(y, dtype=np.float64)
        return y if self.stats is None else SCHEMES[self.scheme].inverse(y, self.stats)


class Scheme(NamedTuple):
    """A pair of functions of (values (..., n), statistics)."""

    forward: Callable[[Array, NormStats], Array]
    inverse: Callable[[Array, NormStats], Array]


def _mean_std(eps: float) -> Scheme:
    """``(x - mean) / (std + eps)`` and ``y * std + mean``: eps is in the forward direction only, as in LeRobot."""
    return Scheme(
        forward=lambda x, stats: (x - np.array(stats.mean)) / (np.array(stats.std) + eps),
        inverse=lambda y, stats: y * np.array(stats.std) + np.array(stats.mean),
    )


SCHEMES: dict[str, Scheme] = {
    "act_mean_std": _mean_std(eps=0.0),  # tonyzhaozh/act, utils.py
    "lerobot_mean_std": _mean_std(eps=LEROBOT_EPS),  # huggingface/lerobot, processor/normalize_processor.py
}

# Of the images that torchvision's backbones were trained on, RGB from 0 to 1.
IMAGENET = Normalisation("act_mean_std", NormStats(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)))
