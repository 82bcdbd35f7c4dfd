"""Polynomial segments: they meet their ends, and their derivatives are derivatives."""

from __future__ import annotations

import numpy as np
import pytest

from vla_core.motion import polynomial
from vla_core.motion.polynomial import State

RANDOM = np.random.default_rng(7)


def random_state(joints: int = 7) -> State:
    return State(*RANDOM.normal(size=(3, joints)))


@pytest.mark.parametrize("duration_s", [0.02, 0.5, 3.0])
def test_quintic_meets_both_states(duration_s: float) -> None:
    start, end = random_state(), random_state()
    coefficients = polynomial.quintic(duration_s, start, end)
    for time_s, wanted in ((0.0, start), (duration_s, end)):
        for found, expected in zip(polynomial.state_at(coefficients, time_s), wanted, strict=True):
            assert found == pytest.approx(expected, abs=1e-8)


def test_cubic_meets_positions_and_velocities_and_linear_the_positions() -> None:
    start, end = random_state(), random_state()
    coefficients = polynomial.cubic(0.4, start.position, start.velocity, end.position, end.velocity)
    assert polynomial.state_at(coefficients, 0.4).position == pytest.approx(end.position)
    assert polynomial.state_at(coefficients, 0.4).velocity == pytest.approx(end.velocity)
    coefficients = polynomial.linear(0.4, start.position, end.position)
    assert polynomial.state_at(coefficients, 0.1).position == pytest.approx(0.75 * start.position + 0.25 * end.position)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_derivatives_agree_with_differences(order: int) -> None:
    coefficients = polynomial.quintic(0.5, random_state(), random_state())
    times, step = np.linspace(0.1, 0.4, 7), 1e-6
    lower = polynomial.derivative(coefficients, times - step, order - 1)
    upper = polynomial.derivative(coefficients, times + step, order - 1)
    assert polynomial.derivative(coefficients, times, order) == pytest.approx(
        (upper - lower) / (2 * step), rel=1e-5, abs=1e-5
    )
