"""Where a path is followed, and where it ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vla_core.embodiment.limits import JointLimits
from vla_core.motion.plan import MotionPlan
from vla_core.motion.polynomial import Array, State
from vla_core.motion.region import Region

# a path is followed up to this far from the position limits, and taken for one at the limit as far beyond [rad or m]
_MARGIN = 0.005
_EDGE_VELOCITY = (
    0.1  # and where the velocity limit has not shrunk below this: none could slow down into less [rad/s or m/s]
)
_REGION_TOLERANCE = 1e-9  # of a clearance [m]


@dataclass(frozen=True, eq=False)
class Room:
    """Positions of n joints that a path may have.

    ::

        velocity     any      ╎  slow, or inwards  ╎   none: the path ends before
                  ────────────┼────────┼───────────┼──────▶ position
                            high     limit       most

    A joint that stands at its limit must not keep the others from moving: in the band around the limit it waits at the edge,
    ``high``. A path that goes on through the band is not clipped; it ends before, and the arm slows down along it.

    Attributes:
        low, high: (n,) edges [rad or m].
        least, most: (n,) ends of the bands [rad or m].
        region: where the arm may be beside that; None: anywhere.
    """

    low: Array
    high: Array
    least: Array
    most: Array
    region: Region | None

    @staticmethod
    def within(limits: JointLimits, region: Region | None) -> Room:
        """The room that limits and a region leave."""
        above = (_EDGE_VELOCITY - limits.upper_offset) ** 2 / limits.upper_gain
        below = (_EDGE_VELOCITY - limits.lower_offset) ** 2 / limits.lower_gain
        low = np.where(limits.lower_offset < _EDGE_VELOCITY, limits.lower_position + below, -np.inf)
        high = np.where(limits.upper_offset < _EDGE_VELOCITY, limits.upper_position - above, np.inf)
        return Room(
            np.maximum(low, limits.position_min + _MARGIN),
            np.minimum(high, limits.position_max - _MARGIN),
            limits.position_min - _MARGIN,
            limits.position_max + _MARGIN,
            region,
        )

    def admits(self, path: State) -> Array:
        """(k, n) states to (k,) booleans."""
        position, velocity, acceleration = path
        good = np.isfinite(velocity.sum(axis=1) + acceleration.sum(axis=1))
        good &= ((position >= self.least) & (position <= self.most)).all(axis=1)
        leaving = ((position > self.high) & (velocity > _EDGE_VELOCITY)).any(axis=1)
        leaving |= ((position < self.low) & (velocity < -_EDGE_VELOCITY)).any(axis=1)
        good &= ~leaving
        if self.region is not None and good.any():
            good[good] = self.region.clearance(position[good]) >= 0.0
        return np.asarray(good)

    def held(self, path: State) -> State:
        """The states (..., n) with joints in a band held at its edge."""
        position = np.minimum(np.maximum(path.position, self.low), self.high)
        waits = position != path.position
        if not waits.any():
            return path
        return State(position, np.where(waits, 0.0, path.velocity), np.where(waits, 0.0, path.acceleration))

    def keeps(self, plan: MotionPlan) -> bool:
        """Whether a plan stays in the region; an arm that is outside of it may come back, and not go farther out."""
        if self.region is None:
            return True
        clearance = self.region.clearance(plan.sampled())
        return bool((clearance >= min(0.0, clearance[0]) - _REGION_TOLERANCE).all())
