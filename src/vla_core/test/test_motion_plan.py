"""Plans, bounds and braking, held against dense sampling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_core.embodiment import JointLimits, load_embodiment
from vla_core.motion import polynomial
from vla_core.motion.bounds import LimitShare, bounds_of, limit_use
from vla_core.motion.braking import stop_duration, stopped_after
from vla_core.motion.plan import MotionPlan
from vla_core.motion.polynomial import State

FR3 = load_embodiment(Path(__file__).parents[3] / "config" / "embodiments" / "fr3.yaml")
LIMITS = JointLimits.of(FR3)
HOME = np.array([0.0, -np.pi / 4, 0.0, -3 * np.pi / 4, 0.0, np.pi / 2, np.pi / 4])
MS = 1_000_000


def random_plan(seed: int, knots: int = 5) -> MotionPlan:
    random = np.random.default_rng(seed)
    times = np.cumsum(random.integers(5, 200, knots)) * MS
    states = [State(HOME + 0.1 * random.normal(size=7), *random.normal(size=(2, 7))) for _ in range(knots - 1)]
    return MotionPlan.through([int(t) for t in times], [*states, State.at_rest(HOME)])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_bounds_hold_what_dense_sampling_finds_and_are_close_to_it(seed: int) -> None:
    plan = random_plan(seed)
    bounds = bounds_of(plan)
    for segment, duration in enumerate(plan.durations_s):
        times = np.linspace(0, duration, 400)
        sampled = [polynomial.derivative(plan.coefficients[segment], times, order) for order in range(4)]
        rows = slice(None), segment
        slack = 1e-9 * (1 + np.abs(sampled[3]).max())
        assert (bounds.position_max[rows].max(axis=0) >= sampled[0].max(axis=0) - slack).all()
        assert (bounds.velocity_min[rows].min(axis=0) <= sampled[1].min(axis=0) + slack).all()
        assert (bounds.acceleration[rows].max(axis=0) >= np.abs(sampled[2]).max(axis=0) - slack).all()
        assert (bounds.jerk[rows].max(axis=0) >= np.abs(sampled[3]).max(axis=0) - slack).all()
        assert (bounds.acceleration[rows].max(axis=0) <= 1.25 * np.abs(sampled[2]).max(axis=0) + slack).all()


def test_a_plan_passes_its_knots_and_rests_at_its_end() -> None:
    plan = random_plan(1)
    for index in range(len(plan.times_ns)):
        for found, knot in zip(plan.state_at(int(plan.times_ns[index])), plan.knot(index), strict=True):
            assert found == pytest.approx(knot, abs=1e-9)
    after = plan.state_at(plan.end_ns + 5 * MS)
    assert after.position == pytest.approx(HOME)
    assert not after.velocity.any()


def test_a_splice_is_the_old_plan_before_and_smooth_at_its_time() -> None:
    plan = random_plan(2)
    at_ns = int(plan.times_ns[1] + 3 * MS)
    rest = State.at_rest(HOME + 0.05)
    tail = MotionPlan.through([at_ns + 300 * MS], [rest])
    spliced = plan.spliced(at_ns, tail, keep_from_ns=at_ns - 2 * MS)
    assert len(spliced.times_ns) == 3  # the knot before, the splice, the new one
    for time_ns in range(int(spliced.times_ns[0]), at_ns, MS):
        for old, new in zip(plan.state_at(time_ns), spliced.state_at(time_ns), strict=True):
            assert new == pytest.approx(old, abs=1e-8)
    for before, after in zip(spliced.state_at(at_ns - 1), spliced.state_at(at_ns), strict=True):
        assert after == pytest.approx(before, rel=1e-5, abs=1e-6)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_stopping_keeps_acceleration_and_jerk(seed: int) -> None:
    random = np.random.default_rng(seed)
    share = LimitShare(1.0, 0.9, 0.3)
    state = State(HOME, random.uniform(-2, 2, 7), random.uniform(-8, 8, 7))
    duration = stop_duration(state, LIMITS, share)
    assert duration is not None
    plan = MotionPlan.through([0, round(duration * 1e9)], [state, stopped_after(state, duration)])
    times = np.linspace(0, plan.durations_s[0], 500)
    assert (np.abs(polynomial.derivative(plan.coefficients[0], times, 2)) <= 9.0 + 1e-5).all()
    assert (np.abs(polynomial.derivative(plan.coefficients[0], times, 3)) <= 1500.0 * (1 + 1e-5)).all()
    assert polynomial.derivative(plan.coefficients[0], times, 1)[-1] == pytest.approx(np.zeros(7), abs=1e-6)


def test_position_and_envelope_violations_are_seen() -> None:
    near = HOME.copy()
    near[0] = 2.70
    moving = State(near, np.array([1.0, 0, 0, 0, 0, 0, 0]), np.zeros(7))
    plan = MotionPlan.through([0, 10 * MS], [moving, State.at_rest(near + 0.005 * np.eye(7)[0])])
    use = limit_use(plan, LIMITS)
    allowed = LIMITS.velocity_upper(near)[0]
    assert allowed < 0.5
    assert use.velocity[0] > 1.0 / allowed - 1e-6
    outside = MotionPlan.at_rest(LIMITS.position_max + 0.01, 0)
    assert (limit_use(outside, LIMITS).position == 1.0).all()
    assert not limit_use(outside, LIMITS).within(LimitShare())
    assert limit_use(MotionPlan.at_rest(HOME, 0), LIMITS).within(LimitShare())
