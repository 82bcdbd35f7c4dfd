"""A base is commanded by velocities that keep every limit, whatever is asked for, and it stands when nothing is."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_core.action_chunk import ActionChunk
from vla_core.chunking import RecedingHorizon
from vla_core.embodiment.limits import JointLimits
from vla_core.embodiment.schema import Motion
from vla_core.motion.bounds import LimitShare, limit_use
from vla_core.motion.measure import CommandMeter
from vla_core.motion.velocity_smoother import VelocitySmoother

MS = 1_000_000
STEP, TICK = 100 * MS, 10 * MS
FAR = np.full(2, 1e6)
FAST = np.array([0.8, 1.5])  # m/s, rad/s
NONE = np.zeros(2)
LIMITS = JointLimits(-FAR, FAR, FAST, np.array([1.0, 3.0]), np.array([10.0, 30.0]), FAST, FAST, NONE, FAST, FAST, NONE)
MOTION = Motion(velocity_share=1.0, acceleration_share=1.0, jerk_share=1.0)
JOINTS = slice(0, 2)


def chunk_of(velocities: np.ndarray, start_ns: int) -> ActionChunk:
    return ActionChunk(np.asarray(velocities, dtype=float), ("linear_x", "angular_z"), start_ns, STEP, start_ns)


class Driven:
    """A smoother that is ticked at 100 Hz, and what was commanded at 1 kHz."""

    def __init__(self) -> None:
        self.scheduler = RecedingHorizon(0.0)
        self.smoother = VelocitySmoother(LIMITS, MOTION, np.zeros(2), 0)
        self.positions: list[np.ndarray] = []
        self.velocities: list[np.ndarray] = []
        self.ticks = 0

    def run(self, count: int) -> None:
        for _ in range(count):
            now_ns = self.ticks * TICK
            smoothed = self.smoother.track(self.scheduler, JOINTS, now_ns)
            assert limit_use(smoothed.plan, LIMITS).within(LimitShare())
            assert not smoothed.plan.velocities[-1].any()
            assert not smoothed.plan.accelerations[-1].any()
            states = [smoothed.plan.state_at(now_ns + k * MS) for k in range(1, 11)]
            self.positions += [state.position for state in states]
            self.velocities += [state.velocity for state in states]
            self.ticks += 1

    def submit(self, velocities: np.ndarray) -> None:
        self.scheduler.submit(chunk_of(velocities, self.ticks * TICK), self.ticks * TICK)
        self.smoother.renew()

    @property
    def violations(self) -> int:
        meter = CommandMeter(LIMITS, 1e-3)
        meter.add(np.array(self.positions))
        return meter.quality.violations


def test_what_is_asked_for_is_driven_with_little_lag() -> None:
    driven = Driven()
    times = np.arange(40) * 0.1
    driven.submit(np.stack([0.4 * np.sin(times) ** 2, np.sin(times)], axis=1))
    driven.run(380)
    asked = np.arange(1, 3801) * 1e-3
    wanted = np.stack([0.4 * np.sin(asked) ** 2, np.sin(asked)], axis=1)
    after = slice(500, None)  # it begins at rest, and the turn at 1 rad/s^2
    error = np.abs(np.array(driven.velocities) - wanted)[after]
    assert error[:, 0].max() < 0.01
    assert error[:, 1].max() < 0.03
    assert driven.violations == 0


def test_silence_brings_it_to_rest_within_the_limits() -> None:
    driven = Driven()
    driven.submit(np.full((10, 2), 0.5))
    driven.run(70)
    np.testing.assert_allclose(driven.velocities[-1], 0.5, atol=1e-3)
    driven.run(300)
    np.testing.assert_array_equal(driven.velocities[-1], 0.0)
    assert driven.violations == 0


def test_a_stop_that_is_asked_for_is_planned_once_and_ends() -> None:
    driven = Driven()
    driven.submit(np.full((30, 2), 0.5))
    driven.run(60)
    first = driven.smoother.stop(driven.ticks * TICK)
    assert first.changed
    assert not driven.smoother.stop((driven.ticks + 1) * TICK).changed
    assert first.plan.end_ns < (driven.ticks + 150) * TICK


def test_velocities_beyond_the_limits_keep_their_direction() -> None:
    driven = Driven()
    driven.submit(np.tile([4.0, 2.0], (40, 1)))
    driven.run(300)
    linear, angular = driven.velocities[-1]
    assert 0.7 < linear <= 0.8
    np.testing.assert_allclose(linear / angular, 2.0, rtol=1e-3)
    assert driven.violations == 0


def test_at_half_the_speed_it_drives_at_half_the_velocity() -> None:
    driven = Driven()
    driven.smoother.speed = 0.5
    driven.submit(np.full((40, 2), 0.4))
    driven.run(200)
    np.testing.assert_allclose(driven.velocities[-1], 0.2, atol=1e-3)


def test_a_plan_that_was_not_sent_is_taken_back() -> None:
    driven = Driven()
    driven.submit(np.full((10, 2), 0.5))
    before = driven.smoother.plan
    assert driven.smoother.track(driven.scheduler, JOINTS, 0).changed
    driven.smoother.withdraw()
    assert driven.smoother.plan is before
    assert driven.smoother.track(driven.scheduler, JOINTS, TICK).changed


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.3, 1.0, 5.0]))
def test_whatever_is_asked_for_the_limits_are_kept_and_it_comes_to_rest(seed: int, scale: float) -> None:
    random = np.random.default_rng(seed)
    driven = Driven()
    for _ in range(random.integers(2, 8)):
        driven.submit(scale * random.normal(size=(random.integers(1, 12), 2)))
        driven.run(int(random.integers(1, 40)))
    driven.run(250)
    assert driven.violations == 0
    np.testing.assert_array_equal(driven.velocities[-1], 0.0)
