"""Strategies at the robot: which action is meant when, for chunks that come at any time."""

from __future__ import annotations

import dataclasses
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_core.action_chunk import ActionChunk
from vla_core.chunking import (
    ChunkCurve,
    FixedBlend,
    RealTimeChunking,
    RecedingHorizon,
    Synchronous,
    TemporalEnsembling,
    scheduler_for,
)
from vla_core.chunking.easing import EASE_NS, eased
from vla_core.errors import ChunkDiscarded
from vla_core.ports import ChunkScheduler
from vla_core.strategies import Strategy

STEP = 50_000_000
NOW = 1_790_000_000_000_000_000
EVERY: tuple[Strategy, ...] = get_args(Strategy)


def chunk(actions: object, start: int = 0, observed: int | None = None, sequence: int = 0) -> ActionChunk:
    """Of one dimension; times in steps."""
    values = np.asarray(actions, dtype=np.float64).reshape(-1, 1)
    observation_ns = at(start if observed is None else observed)
    return ActionChunk(values, ("a",), at(start), STEP, observation_ns, sequence=sequence)


def at(step: float) -> int:
    return NOW + round(step * STEP)


def meant(scheduler: ChunkScheduler, step: float) -> float:
    reference = scheduler.reference_at(at(step))
    assert reference is not None
    return float(reference.position[0])


@pytest.mark.parametrize("strategy", EVERY)
def test_every_strategy_follows_a_chunk_by_its_times_and_ends_at_rest(strategy: Strategy) -> None:
    scheduler = scheduler_for(strategy, 0.0, 0.01)
    assert (scheduler.ruling, scheduler.runs_out_ns, scheduler.reference_at(NOW)) == (None, None, None)
    scheduler.submit(chunk(np.arange(20)), at(3))
    assert scheduler.ruling is not None
    assert scheduler.reference_at(at(-1)) is None
    assert [meant(scheduler, step) for step in (0, 4, 10.5)] == pytest.approx([0.0, 4.0, 10.5])
    runs_out_ns = scheduler.runs_out_ns
    assert runs_out_ns == at(19) + EASE_NS
    end = scheduler.reference_at(runs_out_ns)
    assert end is not None
    assert (end.position[0], end.velocity[0]) == pytest.approx((19.0, 0.0))
    assert end.acceleration[0] == pytest.approx(0.0, abs=1e-9)
    scheduler.reset()
    assert (scheduler.ruling, scheduler.runs_out_ns) == (None, None)


@pytest.mark.parametrize("strategy", EVERY)
def test_a_path_that_nothing_follows_slows_down_along_itself(strategy: Strategy) -> None:
    """Position, velocity and acceleration agree with each other all the way, and none jumps."""
    scheduler = scheduler_for(strategy, 0.0, 0.01)
    scheduler.submit(chunk(np.sin(0.3 * np.arange(20))), at(0))
    times = np.arange(at(12), at(19) + EASE_NS, 1_000_000)
    points = [scheduler.reference_at(int(time)) for time in times]
    position, velocity, acceleration = (
        np.array([getattr(point, name)[0] for point in points]) for name in ("position", "velocity", "acceleration")
    )
    np.testing.assert_allclose(np.gradient(position, 1e-3)[1:-1], velocity[1:-1], atol=2e-3)
    np.testing.assert_allclose(np.gradient(velocity, 1e-3)[1:-1], acceleration[1:-1], atol=0.1)
    assert np.abs(np.diff(velocity)).max() < 0.1
    begin = np.searchsorted(times, at(19) - EASE_NS)
    assert np.all(np.diff(np.abs(velocity[begin + 100 :])) <= 0)  # it only gets slower


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 100_000), strategy=st.sampled_from(EVERY))
def test_whatever_chunks_come_the_path_ends_at_rest_when_it_is_said_to(seed: int, strategy: Strategy) -> None:
    """At other rates, of other lengths, in any order, late and early: finite up to its end, and nothing behind."""
    random = np.random.default_rng(seed)
    scheduler = scheduler_for(strategy, float(random.choice([0.0, 5.0])), 0.01)
    now_ns = NOW
    for sequence in range(12):
        now_ns += int(random.integers(0, 4 * STEP))
        observed_ns = now_ns - int(random.integers(0, 6 * STEP))
        actions = random.normal(size=(int(random.integers(1, 20)), 2))
        start_ns = observed_ns + int(random.choice([0, 3 * STEP]))
        step_ns = int(random.integers(STEP // 4, 2 * STEP))
        try:
            scheduler.submit(
                ActionChunk(actions, ("a", "b"), start_ns, step_ns, observed_ns, sequence=sequence), now_ns
            )
        except ChunkDiscarded:
            assert strategy == "real_time_chunking"
        runs_out_ns = scheduler.runs_out_ns
        if runs_out_ns is None:
            continue
        end = scheduler.reference_at(runs_out_ns)
        assert end is not None
        assert end.velocity == pytest.approx(np.zeros(2), abs=1e-6)
        assert strategy == "synchronous" or scheduler.reference_at(runs_out_ns + 1) is None
        for time_ns in np.linspace(now_ns, max(now_ns, runs_out_ns), 9).astype(np.int64).tolist():
            reference = scheduler.reference_at(time_ns)
            assert reference is None or np.isfinite(reference).all()


def test_easing_covers_what_it_slows_down_and_no_more() -> None:
    assert eased(400, 1000, 100) == (400, 1.0, 0.0)
    assert eased(1100, 1000, 100).path_ns == 1000
    assert eased(1000, 1000, 100).rate == pytest.approx(0.5)
    times = np.arange(NOW, NOW + 300_000_001, 500_000)
    phases = [eased(int(time), NOW + 200_000_000, 100_000_000) for time in times]
    travelled = np.array([phase.path_ns - NOW for phase in phases])
    np.testing.assert_allclose(np.gradient(travelled, 500_000)[1:-1], [phase.rate for phase in phases][1:-1], atol=0.01)
    slopes = np.gradient([phase.rate for phase in phases], 5e-4)
    np.testing.assert_allclose(slopes[1:-1], [phase.slope for phase in phases][1:-1], atol=0.2)


def test_a_single_action_is_meant_for_its_step() -> None:
    scheduler = RecedingHorizon()
    scheduler.submit(chunk([0.7]), at(0))
    assert (meant(scheduler, 0), meant(scheduler, 1)) == (0.7, 0.7)
    assert scheduler.reference_at(at(1) + 1) is None


def test_temporal_ensembling_counts_a_true_zero_and_weighs_the_oldest_most() -> None:
    scheduler = TemporalEnsembling(coefficient=0.5)
    scheduler.submit(chunk(np.zeros(10)), at(0))
    scheduler.submit(chunk(np.ones(10), start=2), at(2))
    weights = np.exp([0.0, -0.5])
    assert meant(scheduler, 4) == pytest.approx(weights[1] / weights.sum())
    assert meant(scheduler, 1) == 0.0
    assert meant(scheduler, 11) == pytest.approx(1.0)  # behind the older one's end


def test_temporal_ensembling_weighs_by_time_of_observation_and_not_of_arrival() -> None:
    in_order, reversed_order = TemporalEnsembling(0.5), TemporalEnsembling(0.5)
    chunks = [chunk(np.zeros(10)), chunk(np.ones(10), start=1)]
    for scheduler, arriving in ((in_order, chunks), (reversed_order, chunks[::-1])):
        for arrived in arriving:
            scheduler.submit(arrived, at(2))
    assert meant(in_order, 5) == meant(reversed_order, 5)


@pytest.mark.parametrize(
    ("strategy", "share"), [("latest_only", 1.0), ("weighted_average", 0.7), ("average", 0.5), ("conservative", 0.3)]
)
def test_fixed_blends_are_those_of_lerobot(strategy: Strategy, share: float) -> None:
    """aggregate_fn(old, new) over what was aggregated before, where both have an action; the new one alone elsewhere."""
    scheduler = scheduler_for(strategy, 0.0, 0.01)
    scheduler.submit(chunk(np.full(10, 2.0)), at(0))
    scheduler.submit(chunk(np.full(10, 4.0), start=4), at(5))
    first = (1 - share) * 2.0 + share * 4.0
    assert [meant(scheduler, step) for step in (6, 8, 9)] == pytest.approx([first] * 3)
    assert [meant(scheduler, step) for step in (10, 11)] == pytest.approx([4.0, 4.0])
    scheduler.submit(chunk(np.full(10, 0.0), start=6), at(7))
    assert meant(scheduler, 9) == pytest.approx((1 - share) * first)
    assert meant(scheduler, 12) == pytest.approx((1 - share) * 4.0)


def test_a_blend_matches_actions_by_their_times_between_the_steps() -> None:
    scheduler = FixedBlend(0.5)
    scheduler.submit(chunk(np.arange(10)), at(0))
    between = dataclasses.replace(chunk(np.arange(5)), start_ns=at(4.5), observation_ns=at(4.5))
    scheduler.submit(between, at(5))
    assert meant(scheduler, 5.5) == pytest.approx((5.5 + 1.0) / 2)


@pytest.mark.parametrize("strategy", [name for name in EVERY if name != "temporal_ensembling"])
def test_a_chunk_from_an_older_observation_is_left_aside(strategy: Strategy) -> None:
    scheduler = scheduler_for(strategy, 0.0, 0.01)
    scheduler.submit(chunk(np.ones(10), start=2, sequence=1), at(3))
    scheduler.submit(chunk(np.zeros(10), start=0, sequence=0), at(4))
    assert scheduler.ruling is not None
    assert scheduler.ruling.sequence == 1
    assert meant(scheduler, 5) == 1.0


@pytest.mark.parametrize("strategy", EVERY)
def test_a_chunk_that_has_passed_leaves_the_one_before_as_it_is(strategy: Strategy) -> None:
    scheduler = scheduler_for(strategy, 0.0, 0.01)
    scheduler.submit(chunk(np.ones(20)), at(0))
    scheduler.submit(chunk(np.zeros(3), start=2), at(8))
    assert [meant(scheduler, step) for step in (8, 12)] == [1.0, 1.0]
    assert scheduler.runs_out_ns == at(19) + EASE_NS


def test_synchronous_holds_the_last_action_and_not_for_ever() -> None:
    scheduler = Synchronous(longest_wait_ns=10 * STEP)
    scheduler.submit(chunk(np.arange(5)), at(0))
    rest_ns = scheduler.runs_out_ns
    assert rest_ns is not None
    held = scheduler.reference_at(rest_ns + 10 * STEP)
    assert held is not None
    assert (held.position[0], held.velocity[0]) == pytest.approx((4.0, 0.0))
    assert scheduler.reference_at(rest_ns + 10 * STEP + 1) is None


def test_a_conditioned_chunk_takes_over_at_its_time_and_not_when_it_arrives() -> None:
    scheduler = RealTimeChunking()
    scheduler.submit(chunk(np.zeros(20)), at(0))
    scheduler.submit(chunk(np.ones(10), start=8, observed=5), at(6))
    assert [meant(scheduler, step) for step in (6, 6.9, 7)] == pytest.approx([0.0] * 3, abs=1e-9)
    assert 0.2 < meant(scheduler, 7.5) < 0.8  # from the last action before it to its own first one
    assert [meant(scheduler, step) for step in (8, 10)] == pytest.approx([1.0, 1.0])


def test_what_is_meant_never_jumps_where_a_conditioned_chunk_takes_over() -> None:
    scheduler = RealTimeChunking()
    scheduler.submit(chunk(np.sin(0.2 * np.arange(20))), at(0))
    scheduler.submit(chunk(np.sin(0.2 * np.arange(8, 28)) + 0.1, start=8, observed=5), at(6))
    values = [meant(scheduler, step) for step in np.arange(6, 10, 0.01)]
    assert np.abs(np.diff(values)).max() < 0.01


def test_a_chunk_behind_its_delay_is_discarded_and_the_old_one_goes_on() -> None:
    scheduler = RealTimeChunking()
    scheduler.submit(chunk(np.zeros(20)), at(0))
    scheduler.submit(chunk(np.ones(10), start=8, observed=5), at(8))  # just in time
    assert meant(scheduler, 9) == 1.0
    late = chunk(np.full(10, 2.0), start=12, observed=10, sequence=7)
    message = "chunk 7: expected within 100 ms of its observation, .*, found it 50 ms later; discarded"
    with pytest.raises(ChunkDiscarded, match=message):
        scheduler.submit(late, at(13))
    assert meant(scheduler, 13) == 1.0


def test_a_chunk_conditioned_on_nothing_is_followed_at_once_however_late() -> None:
    scheduler = RealTimeChunking()
    scheduler.submit(chunk(np.zeros(20)), at(0))
    scheduler.submit(chunk(np.ones(20), start=5), at(9))
    assert (meant(scheduler, 8.9), meant(scheduler, 9)) == (0.0, 1.0)


def test_a_curve_goes_on_from_what_was_executed_and_not_from_a_fresh_start() -> None:
    """Joined to the points before it, a chunk that continues a parabola has its velocity and curvature from the first moment."""
    parabola = 0.01 * np.arange(40) ** 2.0
    scheduler = RealTimeChunking()
    scheduler.submit(chunk(parabola[:20]), at(0))
    scheduler.submit(chunk(parabola[10:30], start=10, observed=7), at(9))
    joined = scheduler.reference_at(at(10))
    alone = ChunkCurve(chunk(parabola[10:30], start=10), 0.0).at(at(10))
    assert joined is not None
    wanted = 0.02 / (STEP * 1e-9) ** 2
    assert joined.acceleration[0] == pytest.approx(wanted, rel=0.1)
    assert alone.acceleration[0] == pytest.approx(0.0, abs=1e-6)


def test_chunks_that_wait_to_take_over_are_replaced_by_newer_ones() -> None:
    scheduler = RealTimeChunking()
    scheduler.submit(chunk(np.zeros(30)), at(0))
    scheduler.submit(chunk(np.ones(20), start=8, observed=4), at(5))
    scheduler.submit(chunk(np.full(20, 2.0), start=8, observed=6), at(7))
    assert (meant(scheduler, 7), meant(scheduler, 9)) == pytest.approx((0.0, 2.0), abs=1e-9)
