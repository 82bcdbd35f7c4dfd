"""The smoother: what it decides is inside every limit to its rest, follows what can be followed, and stops before what cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_core.action_chunk import ActionChunk
from vla_core.chunking import RecedingHorizon, TemporalEnsembling
from vla_core.embodiment import JointLimits, load_embodiment
from vla_core.motion import blend
from vla_core.motion.bounds import LimitShare, limit_use
from vla_core.motion.measure import CommandMeter, CommandQuality
from vla_core.motion.path import GRID_NS, along
from vla_core.motion.plan import MotionPlan
from vla_core.motion.polynomial import State
from vla_core.motion.region import AllOf, Region, SelfDistance, TcpBox
from vla_core.motion.smoother import Smoother

FR3 = load_embodiment(Path(__file__).parents[3] / "config" / "embodiments" / "fr3.yaml")
LIMITS = JointLimits.of(FR3)
SHARE = LimitShare(FR3.motion.velocity_share, FR3.motion.acceleration_share, FR3.motion.jerk_share)
HOME = np.array([0.0, -np.pi / 4, 0.0, -3 * np.pi / 4, 0.0, np.pi / 2, np.pi / 4])
JOINTS = slice(0, 7)
MS = 1_000_000
TICK = 10 * MS
STEP = 20 * MS


def chunk_of(positions: np.ndarray, start_ns: int) -> ActionChunk:
    actions = np.column_stack([positions, np.zeros(len(positions))])
    return ActionChunk(actions, FR3.action_names, start_ns, STEP, start_ns)


def wave(times_s: np.ndarray, amplitude: float = 0.15, hz: float = 0.4) -> np.ndarray:
    return HOME + amplitude * np.sin(2 * np.pi * hz * times_s)[:, None]


def wave_chunk(start_ns: int, count: int = 50) -> ActionChunk:
    return chunk_of(wave((start_ns + STEP * np.arange(count)) * 1e-9), start_ns)


class Commanded:
    """A smoother with a scheduler, ticked at 100 Hz, and what a controller commands at 1 kHz."""

    def __init__(self, start: np.ndarray = HOME, region: Region | None = None, roughness: float = 0.0) -> None:
        self.scheduler = RecedingHorizon(roughness)
        self.smoother = Smoother(LIMITS, FR3.motion, start, 0, region)
        self.positions: list[np.ndarray] = []
        self.changes = 0

    def run(self, ticks: range) -> None:
        for tick in ticks:
            smoothed = self.smoother.track(self.scheduler, JOINTS, tick * TICK)
            self.changes += smoothed.changed
            assert limit_use(smoothed.plan, LIMITS).within(SHARE)
            self.positions += [smoothed.plan.state_at(tick * TICK + k * MS).position for k in range(1, 11)]

    @property
    def quality(self) -> CommandQuality:
        meter = CommandMeter(LIMITS, 1e-3)
        meter.add(np.array(self.positions))
        return meter.quality

    @property
    def rests(self) -> bool:
        return float(np.ptp(np.array(self.positions)[-50:], axis=0).max()) == 0.0


# -- following -----------------------------------------------------------------------------------------------------------


def test_a_clean_chunk_is_followed_with_its_own_velocity_and_decided_once() -> None:
    commanded = Commanded()
    commanded.scheduler.submit(wave_chunk(0), 0)
    commanded.run(range(80))
    times = np.arange(450, 700)  # it needs some time to come from rest to the path's speed
    found = np.array(commanded.positions)[times]
    assert np.abs(found - wave((times + 1) * 1e-3)).max() < 1e-3
    assert commanded.changes <= 3


def test_chunks_that_do_not_agree_are_joined_softly() -> None:
    random = np.random.default_rng(0)
    commanded = Commanded(roughness=5.0)
    for number in range(8):
        start_ns = number * 250 * MS
        noisy = wave((start_ns + STEP * np.arange(50)) * 1e-9) + random.normal(scale=0.01, size=7)
        commanded.scheduler.submit(chunk_of(noisy + random.normal(scale=0.002, size=(50, 7)), start_ns), start_ns)
        commanded.run(range(25 * number, 25 * number + 25))
    assert commanded.quality.violations == 0
    assert commanded.quality.rms_jerk < 200.0  # straight lines between the knots of this stream have 1.5 million
    error = np.array(commanded.positions)[500:] - wave((np.arange(500, 2000) + 1) * 1e-3)
    assert np.abs(error).max() < 0.06


def test_the_arm_rests_at_the_last_action_when_no_chunk_follows() -> None:
    commanded = Commanded()
    commanded.scheduler.submit(wave_chunk(0, 30), 0)
    commanded.run(range(150))
    assert commanded.rests
    assert commanded.positions[-1] == pytest.approx(wave(np.array([29 * 0.02]))[0], abs=1e-4)
    assert commanded.quality.violations == 0


def test_nothing_is_decided_while_nothing_changes_and_a_withdrawn_plan_is_decided_again() -> None:
    commanded = Commanded()
    commanded.scheduler.submit(wave_chunk(0), 0)
    first = commanded.smoother.track(commanded.scheduler, JOINTS, 0)
    assert first.changed
    assert not commanded.smoother.track(commanded.scheduler, JOINTS, TICK).changed
    commanded.smoother.withdraw()
    assert commanded.smoother.plan is not first.plan
    again = commanded.smoother.track(commanded.scheduler, JOINTS, 2 * TICK)
    assert again.changed
    assert again.splice_ns > first.splice_ns


def test_a_new_vote_under_the_same_ruling_chunk_is_seen_when_it_is_told() -> None:
    scheduler = TemporalEnsembling(0.01)
    smoother = Smoother(LIMITS, FR3.motion, HOME, 0)
    scheduler.submit(chunk_of(np.tile(HOME, (50, 1)), 100 * MS), 100 * MS)
    smoother.track(scheduler, JOINTS, 100 * MS)
    scheduler.submit(chunk_of(np.tile(HOME + 0.02, (60, 1)), 0), 110 * MS)
    assert not smoother.track(scheduler, JOINTS, 110 * MS).changed
    smoother.renew()
    assert smoother.track(scheduler, JOINTS, 120 * MS).changed


# -- limits --------------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31))
def test_whatever_is_asked_for_every_plan_is_inside_the_limits_to_its_rest(seed: int) -> None:
    random = np.random.default_rng(seed)
    start = random.uniform(LIMITS.position_min, LIMITS.position_max)
    commanded = Commanded(start, roughness=float(random.choice([0.0, 5.0])))
    tick = 0
    for _ in range(6):
        count = int(random.integers(1, 60))
        scale = 10.0 ** random.uniform(-3, 1)
        walk = start + np.cumsum(random.normal(scale=scale, size=(count, 7)) * random.choice([0.05, 1.0]), axis=0)
        chunk = chunk_of(walk, tick * TICK - int(random.integers(-200, 200)) * MS)
        commanded.scheduler.submit(chunk, tick * TICK)
        length = int(random.integers(1, 25))
        commanded.run(range(tick, tick + length))
        tick += length
        if random.random() < 0.3:
            commanded.smoother.stop(tick * TICK)
    commanded.scheduler.reset()
    commanded.run(range(tick, tick + 250))
    assert commanded.quality.violations == 0
    assert commanded.rests


@pytest.mark.parametrize("joint", range(7))
def test_a_path_out_of_the_range_is_followed_up_to_it_and_slowed_down_along_itself(joint: int) -> None:
    commanded = Commanded()
    direction = np.zeros(7)
    direction[joint], direction[(joint + 1) % 7] = 1.0, 0.1  # the other joint would have room
    room = LIMITS.position_max[joint] - HOME[joint]
    times = np.arange(160) * 0.02
    along = 0.8 * np.where(times < 0.5, times**2, times - 0.25)  # at 0.8 rad/s from half a second on
    for number in range(6):
        first = 25 * number
        commanded.scheduler.submit(
            chunk_of(HOME + along[first : first + 50, None] * direction, first * STEP), first * STEP
        )
        commanded.run(range(50 * number, 50 * number + 50))
    commanded.run(range(300, 400))
    assert commanded.quality.violations == 0
    assert commanded.rests
    moved = np.array(commanded.positions) - HOME
    reached = min(room, along[-1])
    assert 0.75 * reached < moved[-1, joint] <= room
    assert moved[-1, (joint + 1) % 7] == pytest.approx(0.1 * moved[-1, joint], abs=0.01)  # still on the path


def test_a_movement_that_is_too_fast_is_gone_after_inside_the_limits() -> None:
    commanded = Commanded()
    times = np.arange(50) * 0.02
    commanded.scheduler.submit(chunk_of(HOME + 4.0 * times[:, None] * np.eye(7)[0], 0), 0)  # 4 rad/s of 2.62
    commanded.run(range(300))
    assert commanded.quality.violations == 0
    assert commanded.positions[-1][0] > 1.0


@pytest.mark.parametrize("half", [1, 2, 4])
def test_a_stop_along_a_plan_stays_on_its_way_and_begins_with_its_state(half: int) -> None:
    commanded = Commanded()
    commanded.scheduler.submit(wave_chunk(0), 0)
    commanded.run(range(40))
    plan, begin_ns = commanded.smoother.plan, 450 * MS
    stop = plan.spliced(begin_ns, along(plan, begin_ns, half), keep_from_ns=400 * MS)
    way = np.array([plan.state_at(begin_ns + k * MS).position for k in range(half * GRID_NS // MS + 1)])
    for position in stop.sampled():
        assert min(np.abs(way - position).max(axis=1).min(), np.abs(plan.sampled() - position).max(axis=1).min()) < 1e-3
    assert stop.positions[-1] == pytest.approx(way[-1])
    assert not stop.velocities[-1].any()
    for old, new in zip(plan.state_at(begin_ns - 1), stop.state_at(begin_ns + 1), strict=True):
        assert new == pytest.approx(old, rel=1e-4, abs=1e-4)


# -- regions -------------------------------------------------------------------------------------------------------------


def tcp(positions: np.ndarray) -> np.ndarray:
    """An arm whose first three joints move its tool along the axes, 1 m for each radian."""
    return positions[:, :3] - HOME[:3]


BOX = TcpBox(np.array([-1.0, -1.0, -1.0]), np.array([0.1, 1.0, 1.0]), tcp)


@pytest.mark.parametrize(
    "region",
    [BOX, SelfDistance(0.05, lambda q: 0.15 - tcp(q)[:, 0]), AllOf([BOX, SelfDistance(0.0, lambda q: q[:, 5])])],
)
def test_the_arm_slows_down_along_its_path_before_it_leaves_a_region(region: Region) -> None:
    commanded = Commanded(region=region)
    times = np.arange(100) * 0.02
    along = 0.15 * (1 - np.cos(np.pi * times / 2.0))[:, None]  # to 0.3 m, of which 0.1 m are inside
    direction = np.array([1.0, 0.5, 0, 0, 0, 0, 0])
    commanded.scheduler.submit(chunk_of(HOME + along * direction, 0), 0)
    commanded.run(range(300))
    points = tcp(np.array(commanded.positions))
    assert commanded.rests
    assert commanded.quality.violations == 0
    assert 0.05 < points[-1, 0] <= 0.1 + 1e-9
    assert (points[:, 0] <= 0.1 + 1e-9).all()
    assert points[-1, 1] == pytest.approx(0.5 * points[-1, 0], abs=1e-3)


def test_an_arm_outside_of_its_region_may_come_back() -> None:
    commanded = Commanded(HOME + 0.2 * np.eye(7)[0], region=BOX)
    commanded.scheduler.submit(chunk_of(np.tile(HOME, (150, 1)), 0), 0)
    commanded.run(range(300))
    assert tcp(np.array(commanded.positions))[-1, 0] == pytest.approx(0.0, abs=1e-6)


# -- the deviation from a path -------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), length=st.integers(1, 40), step_ms=st.integers(5, 60))
def test_a_deviation_is_the_quintic_to_zero(seed: int, length: int, step_ms: int) -> None:
    random = np.random.default_rng(seed)
    start, path = (State(*random.normal(size=(3, 7))) for _ in range(2))
    away = State(*(have - want for have, want in zip(start, path, strict=True)))
    plan = MotionPlan.through([0, length * step_ms * MS], [away, State.at_rest(np.zeros(7))])
    found = blend.deviation(start, path, step_ms * 1e-3, length, list(range(length + 1)))
    for step in range(length):
        for have, want in zip(plan.state_at(step * step_ms * MS), State(*(part[step] for part in found)), strict=True):
            assert want == pytest.approx(have, rel=1e-6, abs=1e-6)
    assert not any(part[length].any() for part in found)


def test_taking_out_noise_keeps_a_path_that_rests_at_its_end() -> None:
    times = np.arange(20)[:, None] / 19.0
    clean = HOME + 0.3 * (10 * times**3 - 15 * times**4 + 6 * times**5)
    noisy = clean + np.random.default_rng(0).normal(scale=0.003, size=(20, 7))
    rest = State(noisy[1:], np.zeros((19, 7)), np.zeros((19, 7)))
    states, _ = blend.smoothed(rest, State.at_rest(noisy[0]), 0.05, 1.0)
    assert np.std(states.position - clean[1:]) < 0.8 * np.std(noisy[1:] - clean[1:])
    assert not states.velocity[-1].any()
    assert not states.acceleration[-1].any()
