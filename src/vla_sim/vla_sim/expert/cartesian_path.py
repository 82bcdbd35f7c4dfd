"""A path of the tool centre point as a sum of minimum-jerk movements.

A person's reach towards a target that jumps looks like one smooth movement plus another one from the old target to the new,
started when the jump is seen (Flash and Henis 1991, "Arm trajectory modifications during reaching towards visual targets").
Added up, the path stays twice continuously differentiable whatever is added, and never has to be planned anew as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Movement:
    """A minimum-jerk movement by ``displacement`` (4,): x, y, z [m], yaw [rad]; at rest before and after it."""

    start_ns: int
    duration_ns: int
    displacement: Array

    @property
    def end_ns(self) -> int:
        return self.start_ns + self.duration_ns


class CartesianPath:
    """Where the tool centre point is meant to be: x, y, z [m] and yaw [rad], the hand pointing down.

    Args:
        origin: (4,) where it rests before any movement.
    """

    def __init__(self, origin: Array) -> None:
        self._origin = np.array(origin, dtype=np.float64)
        self._movements: list[Movement] = []

    def add(self, movement: Movement) -> None:
        self._movements.append(movement)

    @property
    def end(self) -> Array:
        """Where it rests after all movements (4,)."""
        return self._origin + sum((movement.displacement for movement in self._movements), np.zeros(4))

    @property
    def end_ns(self) -> int:
        """When the last movement ends; 0 if there is none."""
        return max((movement.end_ns for movement in self._movements), default=0)

    def at(self, time_ns: int) -> Array:
        """(4,)"""
        point = self._origin.copy()
        for movement in self._movements:
            point += movement.displacement * minimum_jerk((time_ns - movement.start_ns) / movement.duration_ns)
        return point


def minimum_jerk(fraction: float) -> float:
    """The part of the way that a minimum-jerk movement has made after this part of its time (Flash and Hogan 1985)."""
    u = min(max(fraction, 0.0), 1.0)
    return u**3 * (10.0 - 15.0 * u + 6.0 * u**2)
