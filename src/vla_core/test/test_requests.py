"""Strategies at the policy: when a chunk is asked for, what it goes on from, and with which times it is published."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from vla_core.action_chunk import ActionChunk
from vla_core.action_prefix import ActionPrefix
from vla_core.chunking import Continued, EveryHorizon, WaitedFor, requests_for
from vla_core.chunking.delay import DelayEstimate
from vla_core.chunking.easing import EASE_NS
from vla_core.embodiment import load_embodiment
from vla_core.strategies import DEFAULT_DECAY, Strategy

STEP = 50_000_000
NOW = 1_790_000_000_000_000_000
FR3 = load_embodiment(Path(__file__).parents[3] / "config" / "embodiments" / "fr3.yaml")


def at(step: float) -> int:
    return NOW + round(step * STEP)


def chunk(first: float, observed: float, horizon: int = 20) -> ActionChunk:
    actions = first + np.arange(horizon, dtype=np.float64).reshape(-1, 1)
    return ActionChunk(actions, ("a",), at(observed), STEP, at(observed))


def test_a_delay_counts_for_a_window_of_chunks_and_is_forgotten_then() -> None:
    estimate = DelayEstimate(window=4)
    assert (estimate.longest_ns(), estimate.newest_ns()) == (0, 0)
    estimate.measured(3000)  # a warm-up
    found = []
    for delay in (90, 110, 100, 95, 105):
        estimate.measured(delay)
        found.append((estimate.longest_ns(), estimate.newest_ns()))
    assert found == [(3000, 90), (3000, 110), (3000, 100), (110, 95), (110, 105)]


def test_every_horizon_asks_by_time_whatever_the_rate_of_observations() -> None:
    requests = EveryHorizon(4, STEP)
    asked = []
    for step in np.arange(0, 13, 0.5):
        if requests.due(at(step)):
            assert requests.asked(at(step)) is None
            asked.append(step)
    assert asked == [0, 3.5, 7, 10.5]  # half a step early is in time
    requests.reset()
    assert requests.due(at(10.5))


def test_synchronous_waits_until_a_chunk_was_executed_and_starts_the_next_when_it_is_there() -> None:
    requests = WaitedFor(4)
    assert requests.due(at(0))
    requests.asked(at(0))
    published = requests.answered(chunk(5.0, observed=0), at(6))
    assert (published.start_ns, published.observation_ns, len(published.actions)) == (at(6), at(0), 4)
    assert published.actions[0, 0] == 5.0  # nothing has passed: the robot stood
    rest_ns = at(9) + EASE_NS
    assert not requests.due(rest_ns - 1)
    assert requests.due(rest_ns)


def continued(execution_horizon: int = 5, delay_steps: float = 2.0, lead_ns: int = 0) -> Continued:
    """After a first chunk, asked at 0 and there after so many steps."""
    requests = Continued(execution_horizon, STEP, lead_ns)
    assert requests.due(at(0))
    assert requests.asked(at(0)) is None
    assert requests.answered(chunk(0.0, observed=0), at(delay_steps)) is not None
    return requests


def test_the_first_chunk_is_conditioned_on_nothing_and_the_next_on_what_is_executed() -> None:
    requests = continued()
    assert not requests.due(at(4))
    assert requests.due(at(5))
    prefix = requests.asked(at(5))
    assert isinstance(prefix, ActionPrefix)
    assert (prefix.delay, prefix.execution_horizon, prefix.decay) == (2, 5, DEFAULT_DECAY)
    np.testing.assert_allclose(prefix.resampled(at(5), STEP, 20)[:, 0], np.arange(5.0, 20.0))


def test_a_published_chunk_carries_the_delay_that_it_was_conditioned_on() -> None:
    requests = continued()
    requests.asked(at(5))
    published = requests.answered(chunk(100.0, observed=5), at(6.5))
    assert published is not None
    assert (published.start_ns - published.observation_ns) == 2 * STEP
    assert (published.actions[0, 0], len(published.actions)) == (102.0, 18)


def test_what_is_executed_is_the_old_chunk_until_the_new_one_takes_over() -> None:
    requests = continued(execution_horizon=3)
    requests.asked(at(5))
    requests.answered(chunk(100.0, observed=5), at(6))
    prefix = requests.asked(at(8))
    assert prefix is not None
    assert prefix.chunk.start_ns == at(5)
    np.testing.assert_allclose(prefix.chunk.actions[:4, 0], [5.0, 6.0, 102.0, 103.0])


def test_a_late_chunk_is_discarded_counted_and_the_next_one_expects_the_longer_delay() -> None:
    requests = continued()
    requests.asked(at(5))
    assert requests.answered(chunk(100.0, observed=5), at(8)) is None
    assert requests.discarded == 1
    assert requests.due(at(10))
    prefix = requests.asked(at(10))
    assert prefix is not None
    assert prefix.delay == 3
    np.testing.assert_allclose(prefix.resampled(at(10), STEP, 20)[0], [10.0])  # still the first chunk


def test_one_slow_inference_costs_one_chunk_its_prefix_and_not_ten() -> None:
    requests = continued(delay_steps=17.0)
    assert requests.asked(at(17)) is None  # three actions are left, and the newest took seventeen
    requests.answered(chunk(0.0, observed=17), at(19))
    prefix = requests.asked(at(22))
    assert prefix is not None
    assert prefix.delay == 15  # of the seventeen, as many as are left


def test_plans_that_were_sent_count_to_the_delay() -> None:
    requests = continued(delay_steps=2.0, lead_ns=STEP // 2)
    prefix = requests.asked(at(5))
    assert prefix is not None
    assert prefix.delay == 3


def test_a_chunk_may_be_asked_for_before_the_last_one_takes_over_and_goes_on_from_both() -> None:
    requests = continued(execution_horizon=2, delay_steps=6.0)
    prefix = requests.asked(at(6))
    assert prefix is not None
    assert prefix.delay == 6
    assert not requests.due(at(7))
    requests.answered(chunk(100.0, observed=6), at(9))
    assert requests.due(at(10))
    prefix = requests.asked(at(10))
    assert prefix is not None
    np.testing.assert_allclose(prefix.resampled(at(10), STEP, 8)[:4, 0], [10.0, 11.0, 106.0, 107.0])


def test_delay_and_free_actions_share_a_short_chunk() -> None:
    requests = Continued(8, STEP)
    requests.asked(at(0))
    requests.answered(chunk(0.0, observed=0, horizon=10), at(3))
    prefix = requests.asked(at(6))
    assert prefix is not None
    assert (prefix.delay, prefix.execution_horizon) == (3, 7)


@pytest.mark.parametrize("asked", [18.5, 25.0])
def test_what_ends_before_the_next_chunk_is_there_is_not_gone_on_from(asked: float) -> None:
    requests = continued()
    assert requests.asked(at(asked)) is None
    published = requests.answered(chunk(0.0, observed=asked), at(asked + 9))
    assert published is not None
    assert published.start_ns == published.observation_ns
    assert requests.discarded == 0


def test_a_new_run_begins_with_nothing_but_the_delays() -> None:
    requests = continued()
    requests.reset()
    assert requests.due(at(1))
    assert requests.asked(at(1)) is None
    assert requests.estimate.longest_ns() == 2 * STEP


@pytest.mark.parametrize("strategy", get_args(Strategy))
def test_only_real_time_chunking_goes_on_from_chunks(strategy: Strategy) -> None:
    assert requests_for(strategy, 8, FR3).continues == (strategy == "real_time_chunking")
