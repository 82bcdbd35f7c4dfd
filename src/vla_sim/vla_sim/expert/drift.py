"""Errors that the expert makes on purpose, so that what it shows includes how to recover from them.

A cloned policy leaves the demonstrated states by its own small errors; demonstrations that were disturbed, and corrected,
cover the states it then meets (Laskey et al. 2017, "DART: Noise injection for robust imitation learning").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Drift:
    """Off the way for a while.

    Attributes:
        begin: part of the movement's time after which it begins, 0..1.
        away_s, back_s: durations of leaving the way and of coming back to it.
        displacement: (4,) x, y, z [m], yaw [rad].
    """

    begin: float
    away_s: float
    back_s: float
    displacement: Array


def draw_drift(random: np.random.Generator, probability: float, distance: float) -> Drift | None:
    """A drift in any direction of up to ``distance`` [m], or none. Takes as many random numbers either way."""
    angle, size = random.uniform(0.0, 2.0 * np.pi), distance * random.uniform(0.4, 1.0)
    height = random.uniform(-0.5, 0.5) * distance
    drift = Drift(
        begin=random.uniform(0.15, 0.6),
        away_s=random.uniform(0.6, 0.8),
        back_s=random.uniform(0.8, 1.0),
        displacement=np.array([size * np.cos(angle), size * np.sin(angle), height, 0.0]),
    )
    return drift if random.uniform() < probability else None
