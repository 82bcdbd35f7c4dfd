"""Where the time of chunks went, through the real nodes: told on topics, and recorded beside the episode."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from vla_msgs.msg import ChunkLedger, CommandStatus, LatencyLedger

from vla.graph import Bringup, bringup_graph
from vla.ros.operator import Operator
from vla.supervisor import Supervisor
from vla_core.chunk_times import TOTAL, ChunkTimes
from vla_core.episodes import CommandState, EpisodeReader
from vla_ros import names, qos
from vla_ros.codecs.ledgers import chunk_times_from

MS = 1_000_000
INFERENCE_MS, LEAD_MS = 35.0, 40.0
pytestmark = pytest.mark.ros


@dataclass(frozen=True)
class Rollout:
    """What was told while a policy ran, and what was recorded of it."""

    told: list[ChunkTimes]
    histograms: LatencyLedger
    status: CommandStatus
    recorded: tuple[ChunkTimes, ...]
    states: tuple[CommandState, ...]
    sequences: list[int]


@pytest.fixture(scope="module")
def rollout(tmp_path_factory: pytest.TempPathFactory) -> Rollout:
    """Two seconds of the fake policy, recorded, in simulated time."""
    arguments = Bringup(
        policy="fake",
        record=True,
        lockstep=True,
        inference_delay_ms=INFERENCE_MS,
        episodes=str(tmp_path_factory.mktemp("episodes")),
    )
    told: list[ChunkTimes] = []
    histograms: list[LatencyLedger] = []
    with (
        Supervisor(bringup_graph(arguments).processes, os.environ) as supervisor,
        Operator(supervisor.check) as operator,
    ):
        hear = lambda message: told.append(chunk_times_from(message))  # noqa: E731
        operator.listen(ChunkLedger, names.CHUNK_LEDGER, hear, qos.command(100))
        operator.listen(LatencyLedger, names.LATENCY_LEDGER, histograms.append, qos.latched(depth=1))
        operator.reset_world(5)
        operator.run_simulation(0.4)
        operator.arm()
        operator.run_simulation(0.1)
        operator.start_episode("wave")
        goal = operator.start_policy("wave")
        operator.run_simulation(2.0)
        path = operator.stop_episode("success").path
        operator.end_policy(goal)
        operator.run_simulation(1.1)  # until the histograms are published again
        operator.wait_until(lambda: histograms and histograms[-1].counts and told, "ledgers on their topics")
        counted = lambda: sum(histograms[-1].counts) // len(histograms[-1].stages) >= len(told)  # noqa: E731
        operator.wait_until(counted, "a histogram of all chunks")
        status = operator.command
    with EpisodeReader(Path(path)) as episode:
        assert episode.rollout is not None
        sequences = episode.rollout.sequence.tolist()
        return Rollout(told, histograms[-1], status, episode.ledger, episode.states, sequences)


def test_every_chunk_passes_its_stations_in_their_order(rollout: Rollout) -> None:
    assert len(rollout.told) >= 6
    for times in rollout.told:
        assert times.policy_id == "fake/sine"
        stamps = times.stations_ns
        assert stamps[0] > 0
        assert list(stamps) == sorted(stamps)
    sequences = [times.sequence for times in rollout.told]
    assert sequences == sorted(set(sequences))


def test_the_stages_take_what_they_are_declared_to_take(rollout: Rollout) -> None:
    for times in rollout.told:
        assert times.inference_finished - times.inference_started == INFERENCE_MS * MS
        assert times.commanded - times.first_used == LEAD_MS * MS


def test_what_is_told_is_recorded_beside_the_episode(rollout: Rollout) -> None:
    assert len(rollout.recorded) >= 6
    assert set(rollout.recorded) <= set(rollout.told)
    assert {times.sequence for times in rollout.recorded} <= set(rollout.sequences)
    states = [state.state for state in rollout.states]
    assert states == ["armed", "running"]


def test_the_histograms_count_every_chunk_in_every_stage(rollout: Rollout) -> None:
    found = rollout.histograms
    counts = np.array(found.counts).reshape(len(found.stages), len(found.edges_ms))
    assert counts.sum(axis=1).tolist() == [len(rollout.told)] * len(found.stages)
    by_stage = {stage: (found.p50_ms[k], found.max_ms[k]) for k, stage in enumerate(found.stages)}
    assert by_stage["inference"] == pytest.approx((INFERENCE_MS, INFERENCE_MS))
    total_ms = [(times.commanded - times.exposed) / MS for times in rollout.told]
    assert found.stages[-1] == TOTAL
    assert by_stage[TOTAL] == pytest.approx((np.median(total_ms), max(total_ms)))


def test_simulated_ticks_are_never_late(rollout: Rollout) -> None:
    assert rollout.status.scheduling == "lockstep"
    assert math.isnan(rollout.status.lateness_p50_us)


@pytest.fixture
def in_real_time() -> Iterator[Operator]:
    graph = bringup_graph(Bringup(robot="mock", policy="fake"))
    nodes = [process for process in graph.processes if process.name in ("sim_node", "command_node")]
    with Supervisor(nodes, os.environ) as supervisor, Operator(supervisor.check) as operator:
        yield operator


def test_in_real_time_the_status_says_how_the_loop_is_scheduled_and_how_late_it_is(in_real_time: Operator) -> None:
    status = in_real_time.wait_for_command(
        lambda status: bool(status.scheduling) and status.lateness_max_us > 0, "how the loop is scheduled"
    )
    assert status.scheduling.startswith(("SCHED_FIFO 40", "SCHED_OTHER: SCHED_FIFO 40 is not permitted"))
    assert 0 <= status.lateness_p50_us <= status.lateness_max_us
