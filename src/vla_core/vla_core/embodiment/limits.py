"""The limits of all joints as arrays, in joint order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vla_core.embodiment.schema import Embodiment, VelocityBound

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class JointLimits:
    """Limits of n joints; every array is (n,) [rad, s; m, s for prismatic joints].

    ``upper_*`` and ``lower_*`` are the coefficients of the position-dependent velocity limit
    (:class:`vla_core.embodiment.schema.VelocityBound`); where a joint has none, they give ``velocity`` everywhere.
    """

    position_min: Array
    position_max: Array
    velocity: Array
    acceleration: Array
    jerk: Array
    upper_offset: Array
    upper_gain: Array
    upper_position: Array
    lower_offset: Array
    lower_gain: Array
    lower_position: Array

    @staticmethod
    def of(embodiment: Embodiment) -> JointLimits:
        joints = embodiment.joints
        upper = [j.velocity_envelope.upper if j.velocity_envelope else unbounded(j.velocity) for j in joints]
        lower = [j.velocity_envelope.lower if j.velocity_envelope else unbounded(j.velocity) for j in joints]
        return JointLimits(
            position_min=np.array([j.position.min for j in joints]),
            position_max=np.array([j.position.max for j in joints]),
            velocity=np.array([j.velocity for j in joints]),
            acceleration=np.array([j.acceleration for j in joints]),
            jerk=np.array([j.jerk for j in joints]),
            upper_offset=np.array([b.offset for b in upper]),
            upper_gain=np.array([b.gain for b in upper]),
            upper_position=np.array([b.position for b in upper]),
            lower_offset=np.array([b.offset for b in lower]),
            lower_gain=np.array([b.gain for b in lower]),
            lower_position=np.array([b.position for b in lower]),
        )

    def velocity_upper(self, position: Array) -> Array:
        """Largest allowed velocity at ``position`` (..., n) [rad/s]."""
        distance = np.maximum(0.0, self.upper_position - position)
        return np.minimum(self.velocity, np.maximum(0.0, self.upper_offset + np.sqrt(self.upper_gain * distance)))

    def velocity_lower(self, position: Array) -> Array:
        """Smallest allowed velocity at ``position`` (..., n), not positive [rad/s]."""
        distance = np.maximum(0.0, position - self.lower_position)
        return -np.minimum(self.velocity, np.maximum(0.0, self.lower_offset + np.sqrt(self.lower_gain * distance)))


def unbounded(velocity: float) -> VelocityBound:
    """A bound that is ``velocity`` at every position: no square root can bring it below."""
    return VelocityBound(offset=velocity, gain=1.0, position=0.0)
