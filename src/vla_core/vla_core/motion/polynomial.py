"""Polynomial segments between two states, as joint_trajectory_controller interpolates them.

Coefficients are (6, n), lowest power first: position(t) = sum_k c[k] t^k, for n joints, t in seconds since the segment began.
Source of the degree rules: ros2_controllers, ``Trajectory::interpolate_between_points``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# d/dt of the powers: row k holds the factors of the k-th derivative
_POWERS = np.arange(6)
_FACTORS = np.array(
    [
        [1, 1, 1, 1, 1, 1],
        [0, 1, 2, 3, 4, 5],
        [0, 0, 2, 6, 12, 20],
        [0, 0, 0, 6, 24, 60],
    ],
    dtype=np.float64,
)

_EXPONENTS = np.maximum(_POWERS - np.arange(3)[:, None], 0)  # of the time, in position, velocity and acceleration

# the quintic on [0, 1] from 0: its coefficients by the distance, and velocity and acceleration at the start and at the end
_QUINTIC = np.array(
    [
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [0.0, 1.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 0.5, 0.0, 0.0],
        [10.0, -6.0, -1.5, -4.0, 0.5],
        [-15.0, 8.0, 1.5, 7.0, -1.0],
        [6.0, -3.0, -0.5, -3.0, 0.5],
    ]
)


class State(NamedTuple):
    """Where joints are and how they move; every array has the same shape (..., n).

    position [rad or m], velocity [rad/s or m/s], acceleration [rad/s^2 or m/s^2].
    """

    position: Array
    velocity: Array
    acceleration: Array

    @staticmethod
    def at_rest(position: Array) -> State:
        position = np.asarray(position, dtype=np.float64)
        return State(position, np.zeros_like(position), np.zeros_like(position))


def linear(duration_s: float, start: Array, end: Array) -> Array:
    """Coefficients (6, n) of the straight line from ``start`` to ``end`` (n,)."""
    coefficients = np.zeros((6, len(start)))
    coefficients[0] = start
    coefficients[1] = (end - start) / duration_s
    return coefficients


def cubic(duration_s: float, start: Array, start_velocity: Array, end: Array, end_velocity: Array) -> Array:
    """Coefficients (6, n) of the cubic with these positions and velocities (n,) at its ends."""
    h = duration_s
    coefficients = np.zeros((6, len(start)))
    coefficients[0] = start
    coefficients[1] = start_velocity
    coefficients[2] = (3.0 * (end - start) - (2.0 * start_velocity + end_velocity) * h) / h**2
    coefficients[3] = (2.0 * (start - end) + (start_velocity + end_velocity) * h) / h**3
    return coefficients


def quintic(duration_s: float | Array, start: State, end: State) -> Array:
    """Coefficients (..., 6, n) of the quintics with these positions, velocities and accelerations at their ends.

    Args:
        duration_s: of one segment, or (s, 1) of several [s].
        start, end: states (n,), or (s, n) for several segments.
    """
    h = np.asarray(duration_s, dtype=np.float64)
    # the distance and not the positions: their difference would lose digits that the jerk of a short segment needs
    ends = np.stack(
        [
            end.position - start.position,
            start.velocity * h,
            start.acceleration * h**2,
            end.velocity * h,
            end.acceleration * h**2,
        ],
        axis=-2,
    )
    coefficients = np.asarray((_QUINTIC @ ends) / h[..., None] ** _POWERS[:, None])
    coefficients[..., 0, :] = start.position
    return coefficients


def derivative(coefficients: Array, times_s: Array, order: int) -> Array:
    """The ``order``-th derivative at ``times_s`` (k,): (k, n). Order 0 is the position, 3 the jerk."""
    # lower powers are left out, not multiplied by zero: a position that is NaN must not make every derivative NaN
    basis = (
        _FACTORS[order, order:] * np.asarray(times_s, dtype=np.float64)[:, None] ** _POWERS[: 6 - order]
    )  # (k, 6 - order)
    return np.asarray(basis @ coefficients[order:])


def state_at(coefficients: Array, time_s: float) -> State:
    """Position, velocity and acceleration (n,) at one time, of coefficients that are finite."""
    return State(*((_FACTORS[:3] * time_s**_EXPONENTS) @ coefficients))
