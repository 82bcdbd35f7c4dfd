"""Where an arm may be beside its joints' own limits: a box for the tool, a distance from itself.

A region is asked for many positions at once. It decides how far a path is followed: the arm slows down along the path and rests
before the path leaves the region; nothing is clipped to its edge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from vla_core.motion.polynomial import Array


class Region(Protocol):
    """Where the arm may be."""

    def clearance(self, positions: Array) -> Array:
        """(k, n) joint positions to (k,) distances to the edge, negative outside [m]."""
        ...


@dataclass(frozen=True, eq=False)
class TcpBox:
    """A box that the tool's centre point stays inside of.

    Attributes:
        low, high: (3,) corners in the frame of ``tcp`` [m].
        tcp: forward kinematics: joint positions (k, n) to the points (k, 3) [m].
    """

    low: Array
    high: Array
    tcp: Callable[[Array], Array]

    def clearance(self, positions: Array) -> Array:
        points = self.tcp(positions)
        return np.asarray(np.minimum(points - self.low, self.high - points).min(axis=1))


@dataclass(frozen=True, eq=False)
class SelfDistance:
    """The arm keeps a distance from itself.

    Attributes:
        least: distance [m].
        distance: the model's smallest distance between links that may collide: (k, n) to (k,) [m].
    """

    least: float
    distance: Callable[[Array], Array]

    def clearance(self, positions: Array) -> Array:
        return self.distance(positions) - self.least


@dataclass(frozen=True, eq=False)
class AllOf:
    """Inside of every region."""

    regions: Sequence[Region]

    def clearance(self, positions: Array) -> Array:
        return np.asarray(np.min([region.clearance(positions) for region in self.regions], axis=0))
