"""A policy's runner: it infers when the strategy asks, passes on what a chunk goes on from, and publishes what is in time."""

from __future__ import annotations

from pathlib import Path

import pytest

from vla_core.action_chunk import ActionChunk, Stations
from vla_core.action_prefix import ActionPrefix
from vla_core.chunking import requests_for
from vla_core.embodiment import load_embodiment
from vla_core.episodes.synthetic import synthetic_step
from vla_core.errors import CheckpointError
from vla_core.observation import Observation, Step
from vla_core.strategies import Strategy
from vla_policy_node.fake import FakePolicy
from vla_policy_node.runner import Inference, PolicyRunner, RunnerState

FR3 = load_embodiment(Path(__file__).parents[3] / "config" / "embodiments" / "fr3_sim.yaml")
STEP = FR3.step_ns
SEEN = {name: synthetic_step(FR3, 0).samples[name] for name in (*FR3.cameras, *FR3.observed_streams)}
START = synthetic_step(FR3, 0).stamp_ns


class Noting(FakePolicy):
    """Notes what it is asked to go on from."""

    def __init__(self) -> None:
        super().__init__(FR3)
        self.prefixes: list[ActionPrefix | None] = []

    def infer(self, observation: Observation, prefix: ActionPrefix | None = None) -> ActionChunk:
        self.prefixes.append(prefix)
        return super().infer(observation, prefix)


def running(strategy: Strategy, execution_horizon: int = 5) -> tuple[PolicyRunner, Noting]:
    runner, policy = PolicyRunner(FR3, requests_for(strategy, execution_horizon, FR3)), Noting()
    runner.loaded(policy)
    assert runner.start("", START, 0.0) == ""
    return runner, policy


def asked_at(runner: PolicyRunner, step: int) -> Inference | None:
    """Offers the observation of a step, at the time of that step."""
    stamp_ns = START + step * STEP
    return runner.tick([Step(stamp_ns, SEEN)], stamp_ns)


def cycle(runner: PolicyRunner, step: int, delay_steps: float) -> ActionChunk | None:
    """Infers at a step; the chunk is there after the delay."""
    inference = asked_at(runner, step)
    assert inference is not None
    return runner.inferred(runner.infer(inference), START + round((step + delay_steps) * STEP))


def test_a_chunk_every_execution_horizon_and_one_inference_at_a_time() -> None:
    runner, policy = running("receding_horizon")
    inference = asked_at(runner, 0)
    assert inference is not None
    assert [asked_at(runner, step) for step in range(1, 7)] == [None] * 6  # the first one is still on
    assert runner.inferred(runner.infer(inference), START + 6 * STEP) is not None
    assert asked_at(runner, 7) is not None
    assert (runner.chunks, policy.prefixes) == (1, [None])


def test_real_time_chunking_gives_the_policy_what_is_executed_and_publishes_what_follows_it() -> None:
    runner, policy = running("real_time_chunking")
    first = cycle(runner, 0, 2.0)
    assert first is not None
    assert first.start_ns == first.observation_ns
    assert asked_at(runner, 4) is None
    second = cycle(runner, 5, 2.0)
    prefix = policy.prefixes[-1]
    assert prefix is not None
    assert (prefix.chunk, prefix.execution_horizon) == (first, 5)
    assert prefix.delay == 4  # two steps of delay, and a lead of 40 ms
    assert second is not None
    assert second.start_ns - second.observation_ns == 4 * STEP


def test_a_chunk_that_took_longer_than_it_was_conditioned_on_is_not_published_and_counted() -> None:
    runner, _ = running("real_time_chunking")
    cycle(runner, 0, 2.0)
    assert cycle(runner, 5, 4.5) is None
    assert (runner.chunks, runner.chunks_discarded) == (1, 1)
    assert asked_at(runner, 10) is not None  # it goes on


def test_synchronous_chunks_begin_when_they_are_there() -> None:
    runner, _ = running("synchronous")
    chunk = cycle(runner, 0, 3.0)
    assert chunk is not None
    assert (chunk.start_ns, len(chunk.actions)) == (START + 3 * STEP, 5)
    assert asked_at(runner, 7) is None
    assert asked_at(runner, 11) is not None


def test_a_chunk_that_was_asked_for_in_the_run_before_is_left_out() -> None:
    runner, policy = running("receding_horizon")
    inference = asked_at(runner, 0)
    assert inference is not None
    runner.stop()
    assert runner.start("", START + STEP, 0.0) == ""
    assert asked_at(runner, 2) is None
    assert runner.inferred(runner.infer(inference), START + 3 * STEP) is None
    assert runner.chunks == 0
    assert cycle(runner, 4, 1.0) is not None
    assert len(policy.prefixes) == 2


def test_a_policy_that_cannot_go_on_from_a_chunk_is_refused_where_that_is_needed() -> None:
    policy = Noting()
    policy.real_time_chunking = None
    with pytest.raises(CheckpointError, match=r"expected a policy whose chunks can go on .*, found fake/sine"):
        PolicyRunner(FR3, requests_for("real_time_chunking", 8, FR3)).require_fitting(policy)
    PolicyRunner(FR3, requests_for("average", 8, FR3)).require_fitting(policy)


def test_a_failure_ends_the_run_and_the_next_one_can_begin() -> None:
    runner, _ = running("receding_horizon")
    assert asked_at(runner, 0) is not None
    runner.failed("broken")
    assert (runner.state, runner.message) == (RunnerState.FAULT, "broken")
    assert runner.start("", START, 0.0) == ""
    assert cycle(runner, 1, 1.0) is not None


def test_a_lost_server_does_not_end_the_run_and_is_told_until_a_chunk_comes() -> None:
    runner, _ = running("receding_horizon")
    assert asked_at(runner, 0) is not None
    assert runner.lost("ws://gpu:8000: is gone")
    assert (runner.state, runner.message) == (RunnerState.RUNNING, "ws://gpu:8000: is gone")
    assert asked_at(runner, 1) is not None  # at once: how often it is looked for is the policy's matter
    assert not runner.lost("ws://gpu:8000: is still gone")  # no news
    assert runner.message == "ws://gpu:8000: is still gone"
    inference = asked_at(runner, 2)
    assert inference is not None
    assert runner.message == "ws://gpu:8000: is still gone"
    assert runner.inferred(runner.infer(inference, START), START + 3 * STEP) is not None
    assert (runner.state, runner.message, runner.chunks) == (RunnerState.RUNNING, "", 1)


def test_a_loss_of_the_run_before_is_no_matter_of_this_one() -> None:
    runner, _ = running("receding_horizon")
    assert asked_at(runner, 0) is not None
    runner.stop()
    assert runner.start("", START + STEP, 0.0) == ""
    assert not runner.lost("ws://gpu:8000: is gone")
    assert (runner.state, runner.message) == (RunnerState.RUNNING, "")
    assert asked_at(runner, 2) is not None
    assert runner.lost("ws://gpu:8000: is gone")
    runner.stop()
    assert runner.start("", START + 3 * STEP, 0.0) == ""
    assert runner.message == ""


def test_a_chunk_tells_when_what_it_came_from_passed_each_station() -> None:
    runner, _ = running("receding_horizon")
    inference = asked_at(runner, 0)
    assert inference is not None
    received_ns = max(sample.receive_ns for sample in SEEN.values())
    chunk = runner.infer(inference, START + 1_000_000)
    assert chunk.inference_latency_ns > 0
    assert chunk.stations.inference_finished_ns == START + 1_000_000 + chunk.inference_latency_ns
    simulated = chunk.inferred_within(40_000_000)
    published = runner.inferred(simulated, START + 45_000_000)
    assert published is not None
    assert published.inference_latency_ns == 40_000_000
    assert published.stations == Stations(received_ns, START + 1_000_000, START + 41_000_000, START + 45_000_000)


def test_without_observations_nothing_is_inferred_and_the_operator_is_told_why() -> None:
    runner, _ = running("receding_horizon")
    first = asked_at(runner, 0)
    assert first is not None
    age_ns = round(FR3.safety.max_observation_age_ms * 1e6)
    assert runner.tick([], START + age_ns, lambda: "the cable") is None
    assert runner.message == ""
    assert runner.tick([], START + age_ns + 1, lambda: "the cable") is None
    assert runner.message == "no complete observation for more than 100 ms: nothing is inferred (the cable)"
    assert runner.inferred(runner.infer(first), START + age_ns + 2) is None  # nobody follows it any longer
    incomplete = Step(START + 6 * STEP, {name: SEEN[name] for name in list(SEEN)[1:]})
    assert runner.tick([incomplete], START + 6 * STEP) is None
    assert runner.message != ""
    assert asked_at(runner, 7) is not None  # before its horizon is over: what was published is not executed any longer
    assert runner.message == ""
    assert runner.stale_observations == 2


@pytest.mark.parametrize(
    ("ahead_s", "side"), [(10.0, "10.0 s ahead of"), (-10.0, "10.0 s behind")], ids=["future", "past"]
)
def test_observations_of_another_clock_are_not_inferred_from(ahead_s: float, side: str) -> None:
    runner, _ = running("receding_horizon")
    now_ns = START + 10 * STEP
    assert runner.tick([Step(now_ns + round(ahead_s * 1e9), SEEN)], now_ns) is None
    assert f"observations are stamped {side} this computer's clock" in runner.message
    assert asked_at(runner, 11) is not None
    assert runner.message == ""


def test_clocks_of_two_machines_may_differ_a_little() -> None:
    runner, _ = running("receding_horizon")
    assert runner.tick([Step(START + 40_000_000, SEEN)], START) is not None
    assert runner.tick([Step(START + STEP + 60_000_000, SEEN)], START + STEP) is None
