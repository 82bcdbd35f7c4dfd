"""How a motion comes from where it is to a path: matrices that are made once, and products that cost microseconds.

Times are counted in steps of the path here, so that one matrix serves for every length of the step.
"""

from __future__ import annotations

import functools

import numpy as np
from scipy.interpolate import CubicSpline

from vla_core.motion.polynomial import Array, State

_PADDING = 3  # samples at rest after the end, so that the smoothed path comes to rest too


def deviation(start: State, path: State, step_s: float, length: int, steps: list[int]) -> State:
    """A deviation from the path that goes to zero, quintic over ``length`` steps.

    Args:
        start: state (n,) of the motion now.
        path: state (n,) of the path now.
        step_s: length of a step [s].
        length: steps until the path is reached.
        steps: (k,) at which the deviation is wanted.

    Returns:
        States (k, n).
    """
    scale = np.array([1.0, step_s, step_s**2])
    now = np.stack([have - want for have, want in zip(start, path, strict=True)]) * scale[:, None]
    then = _decay(length)[:, steps] @ now  # (3, k, n)
    return State(*(then / scale[:, None, None]))


@functools.lru_cache(maxsize=256)
def _decay(length: int) -> Array:
    """(3, length + 1, 3): derivative, step, and what the derivatives at step 0 are multiplied with."""
    t = np.arange(length + 1)
    u = t / length
    # the quintics with one derivative 1 at u = 0 and all others 0 at both ends
    ones = np.array([[1, 0, 0, -10, 15, -6], [0, 1, 0, -6, 8, -3], [0, 0, 0.5, -1.5, 1.5, -0.5]])
    matrix = np.empty((3, length + 1, 3))
    for given, coefficients in enumerate(ones):
        polynomial = np.polynomial.Polynomial(coefficients * float(length) ** given)
        for order in range(3):
            matrix[order, :, given] = polynomial(u) / float(length) ** order
            polynomial = polynomial.deriv()
    matrix[:, length] = 0.0
    return matrix


def smoothed(path: State, start: State, step_s: float, roughness: float) -> tuple[State, State]:
    """A path with its noise taken out, by its positions alone; a path that ends at rest still does.

    Args:
        path: states (k, n) at the steps after the first.
        start: state (n,) at the first step.
        step_s: length of a step [s].
        roughness: as of :class:`vla_core.chunking.curve.ChunkCurve`, in steps of this path.

    Returns:
        The same states smoothed, (k, n) and (n,).
    """
    count = len(path.position) + 1
    padded = np.concatenate([start.position[None], path.position, np.repeat(path.position[-1:], _PADDING, axis=0)])
    position, velocity, acceleration = _smoother(count, roughness) @ padded
    velocity /= step_s
    acceleration /= step_s**2
    velocity[-1] = acceleration[-1] = 0.0
    return State(position[1:], velocity[1:], acceleration[1:]), State(position[0], velocity[0], acceleration[0])


@functools.lru_cache(maxsize=128)
def _smoother(count: int, roughness: float) -> Array:
    """(3, count, count + _PADDING): padded positions to smoothed positions, and to derivatives of the spline through them."""
    size = count + _PADDING
    third = np.diff(np.eye(size), n=3, axis=0)
    smooth = np.linalg.inv(np.eye(size) + roughness * third.T @ third)
    steps = np.arange(size)
    spline = CubicSpline(steps, smooth, bc_type=((2, np.zeros(size)), (1, np.zeros(size))))
    return np.stack([spline(steps[:count], order) for order in range(3)])
