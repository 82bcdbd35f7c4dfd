"""Measuring what a controller was commanded, by finite differences, as an outsider would."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vla_core.embodiment.limits import JointLimits
from vla_core.motion.polynomial import Array

_SLACK = 1.0 + 1e-6  # relative; a finite difference of positions near 1 rad at 1 kHz has that much rounding in the jerk


@dataclass(frozen=True)
class CommandQuality:
    """What was found in a series of commanded positions.

    samples: cycles measured. position, velocity, acceleration, jerk: number of values beyond their limit (each joint counts).
    rms_jerk: root mean square over samples and joints [rad/s^3]. velocity_use, acceleration_use, jerk_use: largest share of
    the limit over samples and joints, 1 is the limit.
    """

    samples: int = 0
    position: int = 0
    velocity: int = 0
    acceleration: int = 0
    jerk: int = 0
    rms_jerk: float = 0.0
    velocity_use: float = 0.0
    acceleration_use: float = 0.0
    jerk_use: float = 0.0

    @property
    def violations(self) -> int:
        return self.position + self.velocity + self.acceleration + self.jerk

    def merged(self, other: CommandQuality) -> CommandQuality:
        """The quality of two series that do not join."""
        samples = self.samples + other.samples
        square = self.samples * self.rms_jerk**2 + other.samples * other.rms_jerk**2
        return CommandQuality(
            samples,
            self.position + other.position,
            self.velocity + other.velocity,
            self.acceleration + other.acceleration,
            self.jerk + other.jerk,
            float(np.sqrt(square / samples)) if samples else 0.0,
            max(self.velocity_use, other.velocity_use),
            max(self.acceleration_use, other.acceleration_use),
            max(self.jerk_use, other.jerk_use),
        )


class CommandMeter:
    """Measures commanded positions as they come, piece by piece.

    Args:
        limits: of the n joints; the position-dependent velocity limit is taken at the middle of a difference.
        period_s: time between two commands [s].
    """

    def __init__(self, limits: JointLimits, period_s: float) -> None:
        self._limits = limits
        self._period_s = period_s
        self._recent = np.zeros((0, len(limits.velocity)))  # the last three positions: what the next differences need
        self.quality = CommandQuality()

    def add(self, positions: Array) -> None:
        """Takes the next commanded positions (k, n) [rad]."""
        before = len(self._recent)
        q = np.concatenate([self._recent, positions])
        differences = [
            np.diff(q, n=order, axis=0)[max(0, before - order) :] / self._period_s**order for order in (1, 2, 3)
        ]
        self._recent = q[-3:]
        limits = self._limits
        velocity, acceleration, jerk = differences
        middle = ((q[1:] + q[:-1]) / 2.0)[max(0, before - 1) :]
        allowed = np.where(velocity > 0, limits.velocity_upper(middle), -limits.velocity_lower(middle))
        use = [
            np.abs(velocity) / np.maximum(allowed, 1e-9),
            np.abs(acceleration) / limits.acceleration,
            np.abs(jerk) / limits.jerk,
        ]
        counts = [int((share > _SLACK).sum()) for share in use]
        outside = (positions < limits.position_min) | (positions > limits.position_max)
        most = [float(share.max(initial=0.0)) for share in use]
        rms = float(np.sqrt((jerk**2).mean())) if jerk.size else 0.0
        found = CommandQuality(
            samples=len(jerk),
            position=int(outside.sum()),
            velocity=counts[0],
            acceleration=counts[1],
            jerk=counts[2],
            rms_jerk=rms,
            velocity_use=most[0],
            acceleration_use=most[1],
            jerk_use=most[2],
        )
        self.quality = self.quality.merged(found)
