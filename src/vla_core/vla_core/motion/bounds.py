"""Whether a plan stays inside limits, at every instant and not only at samples.

Each segment is a polynomial; the control points of its Bernstein form bound it from both sides, and they close in on it when
the segment is halved. That costs a few matrix products, needs no root finding, and never misses a peak.
"""

from __future__ import annotations

from math import comb
from typing import NamedTuple

import numpy as np

from vla_core.embodiment.limits import JointLimits
from vla_core.motion.plan import MotionPlan
from vla_core.motion.polynomial import Array

_PIECES = 4  # parts into which a segment is cut before it is bounded
_DEGREE = 5
_STANDING = 1e-9  # slower than this is the rounding of a joint that stands [rad/s or m/s]
_TOLERANCE = 1e-9  # relative; rounding must not make a plan that uses a limit exactly fail


def _bernstein(degree: int) -> Array:
    """(degree+1, degree+1): power coefficients on [0, 1] to Bernstein coefficients."""
    return np.array(
        [[comb(i, k) / comb(degree, k) if k <= i else 0.0 for k in range(degree + 1)] for i in range(degree + 1)]
    )


def _piece(degree: int, start: float, width: float) -> Array:
    """(degree+1, degree+1): power coefficients in u on [0, 1] to those of the part [start, start + width]."""
    matrix = np.zeros((degree + 1, degree + 1))
    for power in range(degree + 1):
        for k in range(power + 1):
            matrix[k, power] = comb(power, k) * start ** (power - k) * width**k
    return matrix


def _control(degree: int) -> Array:
    """(_PIECES, degree+1, degree+1): power coefficients of a segment on [0, 1] to the control points of its parts."""
    width = 1.0 / _PIECES
    return np.stack([_bernstein(degree) @ _piece(degree, k * width, width) for k in range(_PIECES)])


def _control_of_derivative(order: int) -> Array:
    """(_PIECES * (degree+1-order), degree+1): the same for a derivative, by the coefficients of the position."""
    factors = [np.prod([k - j for j in range(order)], initial=1.0) for k in range(order, _DEGREE + 1)]
    matrix = np.zeros((_PIECES, _DEGREE + 1 - order, _DEGREE + 1))
    matrix[:, :, order:] = _control(_DEGREE - order) * np.array(factors)
    return matrix.reshape(-1, _DEGREE + 1)


# all derivatives in one matrix product, which costs less than four
_CONTROL = np.concatenate([_control_of_derivative(order) for order in range(4)])
_ROWS = np.cumsum([_PIECES * (_DEGREE + 1 - order) for order in range(3)]).tolist()
_POWERS = np.arange(_DEGREE + 1)


class Bounds(NamedTuple):
    """Extremes of a plan, per part of a segment, segment and joint: each (parts, segments, n)."""

    position_min: Array
    position_max: Array
    velocity_min: Array
    velocity_max: Array
    acceleration: Array
    """largest absolute value [rad/s^2]"""
    jerk: Array
    """largest absolute value [rad/s^3]"""


class LimitUse(NamedTuple):
    """Share of the limits that a plan uses at most, per joint (n,): 1 is the limit. position: 1 outside, else 0."""

    position: Array
    velocity: Array
    acceleration: Array
    jerk: Array

    def within(self, share: LimitShare) -> bool:
        """Whether every limit is kept, with these shares of them."""
        slack = 1.0 + _TOLERANCE
        return bool(
            (self.position == 0.0).all()
            and (self.velocity <= share.velocity * slack).all()
            and (self.acceleration <= share.acceleration * slack).all()
            and (self.jerk <= share.jerk * slack).all()
        )


class LimitShare(NamedTuple):
    """Shares of the limits that may be used, each in (0, 1]."""

    velocity: float = 1.0
    acceleration: float = 1.0
    jerk: float = 1.0


def bounds_of(plan: MotionPlan) -> Bounds:
    """Bounds of position, velocity, acceleration and jerk over the whole plan."""
    segments, _, joints = plan.coefficients.shape
    powers = plan.durations_s[:, None] ** _POWERS  # (s, 6)
    scaled = (plan.coefficients * powers[:, :, None]).transpose(1, 0, 2).reshape(_DEGREE + 1, -1)
    control = _CONTROL @ scaled  # (all control points, s n), in units of the segment

    velocity, acceleration, jerk = _ROWS
    by_order = (control[:velocity], control[velocity:acceleration], control[acceleration:jerk], control[jerk:])
    parts = [
        rows.reshape(_PIECES, _DEGREE + 1 - order, segments, joints) for order, rows in enumerate(by_order)
    ]  # (pieces, control points, s, n)
    seconds = powers.T[:4, :, None]  # (order, s, 1)
    return Bounds(
        parts[0].min(axis=1),
        parts[0].max(axis=1),
        parts[1].min(axis=1) / seconds[1],
        parts[1].max(axis=1) / seconds[1],
        np.abs(parts[2]).max(axis=1) / seconds[2],
        np.abs(parts[3]).max(axis=1) / seconds[3],
    )


def limit_use(plan: MotionPlan, limits: JointLimits) -> LimitUse:
    """How much of its limits a plan uses; position-dependent velocity limits included. The numbers are upper bounds."""
    joints = plan.positions.shape[1]
    if len(plan.times_ns) < 2:
        inside = (plan.positions[0] >= limits.position_min) & (plan.positions[0] <= limits.position_max)
        return LimitUse(np.where(inside, 0.0, 1.0), np.zeros(joints), np.zeros(joints), np.zeros(joints))
    bounds = Bounds(*(part.reshape(-1, joints) for part in bounds_of(plan)))
    margin = _TOLERANCE * (limits.position_max - limits.position_min)
    inside = bounds.position_min.min(axis=0) >= limits.position_min - margin
    inside &= bounds.position_max.max(axis=0) <= limits.position_max + margin
    # the velocity limits shrink towards the position limits, so the extreme position of a part has the tightest one
    upward = _share(bounds.velocity_max, limits.velocity_upper(bounds.position_max))
    downward = _share(-bounds.velocity_min, -limits.velocity_lower(bounds.position_min))
    return LimitUse(
        np.where(inside, 0.0, 1.0),
        np.maximum(upward, downward).max(axis=0),
        bounds.acceleration.max(axis=0) / limits.acceleration,
        bounds.jerk.max(axis=0) / limits.jerk,
    )


def _share(velocity: Array, limit: Array) -> Array:
    """Velocity / limit, for velocities in the limit's direction; 0 for the others."""
    return np.asarray(np.maximum(velocity, 0.0) / np.maximum(limit, _STANDING))
