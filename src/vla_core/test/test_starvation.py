"""Chunks that come late: no tick without a reference while they come in time, and otherwise a stop inside the limits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vla_core.action_chunk import ActionChunk
from vla_core.chunking import ChunkRequests, requests_for, scheduler_for
from vla_core.embodiment import JointLimits, load_embodiment
from vla_core.errors import ChunkError
from vla_core.execution import Executor, ExecutorState
from vla_core.motion.measure import CommandMeter, CommandQuality
from vla_core.motion.plan import MotionPlan
from vla_core.strategies import Strategy

FR3 = load_embodiment(Path(__file__).parents[3] / "config" / "embodiments" / "fr3.yaml")
HOME = np.array([0.0, -np.pi / 4, 0.0, -3 * np.pi / 4, 0.0, np.pi / 2, np.pi / 4])
MS = 1_000_000
TICK = 10 * MS
NOW = 1_000_000 * TICK
ACTION_HORIZON = 16
ONE_OF_EACH: tuple[Strategy, ...] = ("receding_horizon", "temporal_ensembling", "average", "real_time_chunking")


class Loop:
    """A policy that waves two joints, with a delay that may change, and the arm's controller; by the clock of the test."""

    def __init__(self, strategy: Strategy, execution_horizon: int = 6) -> None:
        self.executor = Executor(FR3, scheduler_for(strategy, 5.0, 0.01))
        self.requests: ChunkRequests = requests_for(strategy, execution_horizon, FR3)
        self.executor.arm(HOME, np.zeros(7), None, NOW, shadow=False)
        self.executor.expect_chunks(True)
        self.positions: list[np.ndarray] = []
        self._plan = MotionPlan.at_rest(HOME, NOW)
        self._now_ns = NOW
        self._pending: tuple[int, ActionChunk] | None = None
        self._next_observation_ns = NOW

    def run(self, seconds: float, delay_ns: int) -> None:
        """Goes on for a time; chunks that are asked for in it are there after the delay."""
        for _ in range(round(seconds * 1e9) // TICK):
            self._receive()
            self._observe(delay_ns)
            output = self.executor.tick(self._now_ns)
            assert output is not None
            if output.smoothed.changed:
                self._plan = output.smoothed.plan
            self.positions += [self._plan.state_at(self._now_ns + k * MS).position for k in range(1, 11)]
            self._now_ns += TICK

    def _observe(self, delay_ns: int) -> None:
        while self._next_observation_ns <= self._now_ns:
            stamp_ns = self._next_observation_ns
            self._next_observation_ns += FR3.step_ns
            if self._pending is None and self.requests.due(stamp_ns):
                self.requests.asked(stamp_ns)
                self._pending = (stamp_ns + delay_ns, wave(stamp_ns, delay_ns))

    def _receive(self) -> None:
        if self._pending is None or self._pending[0] > self._now_ns:
            return
        chunk = self.requests.answered(self._pending[1], self._now_ns)
        self._pending = None
        if chunk is not None:
            try:
                self.executor.submit(chunk, self._now_ns)
            except ChunkError:
                assert self.executor.message

    @property
    def quality(self) -> CommandQuality:
        meter = CommandMeter(JointLimits.of(FR3), 1e-3)
        meter.add(np.array(self.positions))
        return meter.quality


def wave(observation_ns: int, delay_ns: int) -> ActionChunk:
    times = (observation_ns - NOW + FR3.step_ns * np.arange(ACTION_HORIZON)) * 1e-9
    joints = np.tile(HOME, (ACTION_HORIZON, 1))
    joints[:, [0, 3]] += 0.3 * np.sin(2 * np.pi * 0.25 * times)[:, None]
    actions = np.column_stack([joints, np.full(ACTION_HORIZON, 0.04)])
    return ActionChunk(
        actions, FR3.action_names, observation_ns, FR3.step_ns, observation_ns, inference_latency_ns=delay_ns
    )


@pytest.mark.parametrize(("execution_horizon", "delay_steps"), [(6, 5), (8, 8), (10, 6)])
@pytest.mark.parametrize("strategy", ONE_OF_EACH)
def test_no_tick_starves_while_the_delay_is_within_what_is_left_of_a_chunk(
    strategy: Strategy, execution_horizon: int, delay_steps: int
) -> None:
    """delay <= execution horizon <= action horizon - delay: one inference is on at a time."""
    loop = Loop(strategy, execution_horizon)
    loop.run(3.0, delay_steps * FR3.step_ns)
    counters = loop.executor.counters
    assert (counters.ticks_starved, counters.chunks_late, counters.chunks_refused) == (0, 0, 0)
    assert loop.executor.state is ExecutorState.RUNNING
    assert counters.chunks_accepted >= 6
    assert loop.quality.violations == 0


@pytest.mark.parametrize("strategy", ["temporal_ensembling", "real_time_chunking"])
def test_a_chunk_that_comes_much_too_late_finds_the_arm_stopped_inside_its_limits(strategy: Strategy) -> None:
    loop = Loop(strategy)
    loop.run(2.05, 2 * FR3.step_ns)
    loop.run(0.3, 18 * FR3.step_ns)  # asked for in this time: there after 600 ms, when all has run out
    assert loop.executor.counters.ticks_starved == 0
    loop.run(0.6, 2 * FR3.step_ns)
    assert loop.executor.counters.ticks_starved > 0
    assert loop.quality.violations == 0
    loop.run(2.0, 2 * FR3.step_ns)  # it came before the silence was a fault, and the arm goes on
    assert loop.executor.state is ExecutorState.RUNNING
    assert loop.executor.counters.chunks_late >= 1
    assert loop.quality.violations == 0


@pytest.mark.parametrize("strategy", ["synchronous", "average", "real_time_chunking"])
def test_a_policy_that_falls_silent_leaves_the_arm_at_rest_with_a_latched_fault(strategy: Strategy) -> None:
    loop = Loop(strategy)
    loop.run(1.0, 2 * FR3.step_ns)
    moving = np.ptp(np.array(loop.positions)[-500:], axis=0).max()
    loop.run(4.5, 1000 * FR3.step_ns)
    assert moving > 0.05
    assert loop.executor.state is ExecutorState.FAULT
    assert np.ptp(np.array(loop.positions)[-500:], axis=0) == pytest.approx(np.zeros(7), abs=1e-9)
    assert loop.quality.violations == 0


def test_synchronous_execution_waits_without_starving_and_without_a_fault() -> None:
    loop = Loop("synchronous")
    loop.run(4.0, 500 * MS)  # a wait that would be a fault anywhere else
    counters = loop.executor.counters
    assert (counters.ticks_starved, counters.chunks_late, counters.chunks_refused) == (0, 0, 0)
    assert loop.executor.state is ExecutorState.RUNNING
    assert loop.quality.violations == 0
    speed = np.abs(np.diff(np.array(loop.positions)[:, 0])) * 1e3
    assert np.mean(speed[1000:] < 1e-3) > 0.3  # it stands while it waits


def test_a_sudden_long_delay_has_a_conditioned_chunk_discarded_and_the_next_ones_fit() -> None:
    loop = Loop("real_time_chunking")
    loop.run(1.5, 2 * FR3.step_ns)
    assert loop.requests.discarded == 0
    loop.run(2.5, 7 * FR3.step_ns)
    assert loop.requests.discarded == 1
    assert loop.executor.state is ExecutorState.RUNNING
    assert loop.quality.violations == 0


def test_the_arm_slows_down_along_its_path_before_it_runs_out() -> None:
    """The last chunk is left where it was heading, and not cut off: the arm comes to rest at its last action."""
    loop = Loop("receding_horizon")
    loop.run(1.0, 2 * FR3.step_ns)
    loop.run(1.2, 1000 * FR3.step_ns)
    last = loop.executor.scheduler.ruling
    assert last is not None
    assert np.array(loop.positions)[-1] == pytest.approx(last.actions[-1, :7], abs=5e-3)
