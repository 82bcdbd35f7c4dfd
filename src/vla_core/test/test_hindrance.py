"""A policy that runs and cannot infer; chunks twice and out of order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vla_core.action_chunk import ActionChunk
from vla_core.chunking import RecedingHorizon
from vla_core.embodiment import load_embodiment
from vla_core.errors import ChunkError
from vla_core.execution import Executor, ExecutorState
from vla_core.execution.faults import Fault, FaultName
from vla_core.execution.policy_watch import PolicyWatch

FR3 = load_embodiment(Path(__file__).parents[3] / "config" / "embodiments" / "fr3.yaml")
MS = 1_000_000
TICK = 10 * MS
NOW = 10**12
HOME = np.array([0.0, -np.pi / 4, 0.0, -3 * np.pi / 4, 0.0, np.pi / 2, np.pi / 4])
BLIND = Fault(FaultName.OBSERVATION_STALE, "no complete observation for more than 100 ms: nothing is inferred")


def chunk(observation_ns: int, sequence: int = 0) -> ActionChunk:
    """A second of a slow motion of the first joint."""
    actions = np.tile([*HOME, 0.04], (30, 1))
    actions[:, 0] += 0.01 * np.arange(30)
    return ActionChunk(actions, FR3.action_names, observation_ns, FR3.step_ns, observation_ns, "test", sequence)


class Arm:
    """An executor that follows a chunk since 0.3 s."""

    def __init__(self) -> None:
        self.executor = Executor(FR3, RecedingHorizon())
        self.executor.arm(HOME, np.zeros(7), 0.04, NOW, shadow=False)
        self.executor.expect_chunks(True)
        self.executor.submit(chunk(NOW), NOW)
        self.now_ns = NOW
        self.run(300)

    def run(self, milliseconds: int) -> None:
        for _ in range(milliseconds * MS // TICK):
            self.now_ns += TICK
            self.executor.tick(self.now_ns)

    @property
    def speed(self) -> float:
        state = self.executor.commanded_at(self.now_ns)
        assert state is not None
        return float(np.abs(state.velocity).max())


@pytest.fixture
def arm() -> Arm:
    arm = Arm()
    assert arm.speed > 0.1
    return arm


def test_a_policy_that_sees_nothing_is_not_followed_any_longer_and_then_a_fault(arm: Arm) -> None:
    arm.executor.expect_chunks(True, BLIND, arm.now_ns)
    arm.run(200)
    assert (arm.executor.state, arm.executor.message) == (ExecutorState.RUNNING, BLIND.message)
    assert arm.speed == 0.0
    arm.run(150)
    assert (arm.executor.state, arm.executor.fault_name) == (ExecutorState.FAULT, FaultName.OBSERVATION_STALE)
    assert arm.executor.message == BLIND.message
    arm.executor.expect_chunks(True)
    assert arm.executor.message == BLIND.message  # latched


def test_one_that_sees_again_soon_is_followed_again(arm: Arm) -> None:
    arm.executor.expect_chunks(True, BLIND, arm.now_ns)
    blind_ns = arm.now_ns
    arm.run(150)
    with pytest.raises(ChunkError, match="no complete observation"):
        arm.executor.submit(chunk(blind_ns - 10 * MS, 1), arm.now_ns)  # was inferred before
    arm.executor.submit(chunk(blind_ns + 100 * MS, 2), arm.now_ns)  # before the status that says so
    assert arm.executor.message == ""
    arm.executor.expect_chunks(True)
    arm.run(400)
    assert arm.executor.state is ExecutorState.RUNNING
    assert arm.speed > 0.1


def test_a_run_that_ends_is_no_fault(arm: Arm) -> None:
    arm.executor.expect_chunks(True, BLIND, arm.now_ns)
    arm.run(50)
    arm.executor.expect_chunks(False)
    arm.run(1500)
    assert (arm.executor.state, arm.executor.message) == (ExecutorState.ARMED, "")


def test_before_the_first_chunk_an_armed_arm_waits() -> None:
    executor = Executor(FR3, RecedingHorizon())
    executor.arm(HOME, np.zeros(7), 0.04, NOW, shadow=False)
    executor.expect_chunks(True, BLIND, NOW)
    for k in range(100):
        executor.tick(NOW + k * TICK)
    assert executor.state is ExecutorState.ARMED


@pytest.mark.parametrize("age_ms", [0, 33, 60])
def test_a_chunk_that_comes_twice_or_is_overtaken_is_refused(arm: Arm, age_ms: int) -> None:
    newest = chunk(arm.now_ns - 20 * MS, 5)
    arm.executor.submit(newest, arm.now_ns)
    old_ns = newest.observation_ns - age_ms * MS
    with pytest.raises(ChunkError, match=f"its observation is {age_ms} ms older than that of the last one"):
        arm.executor.submit(replace(newest, observation_ns=old_ns, sequence=4), arm.now_ns)
    counters = arm.executor.counters
    assert (counters.chunks_accepted, counters.chunks_refused) == (2, 1)
    assert arm.executor.scheduler.ruling is newest


def test_statuses_are_read() -> None:
    watch = PolicyWatch()
    assert watch.hindrance(running=False, message="policy failed", stale_observations=0) is None
    assert watch.hindrance(running=True, message="", stale_observations=0) is None
    stale = watch.hindrance(running=True, message="nothing seen", stale_observations=1)
    lost = watch.hindrance(running=True, message="no answer", stale_observations=1)
    assert stale is not None
    assert lost is not None
    assert (stale.name, lost.name) == (FaultName.OBSERVATION_STALE, FaultName.PEER_LOST)
    assert watch.hindrance(running=True, message="", stale_observations=3) is None
