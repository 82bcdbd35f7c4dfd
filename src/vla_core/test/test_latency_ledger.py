"""Where the time of chunks went."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vla_core.action_chunk import ActionChunk, Stations
from vla_core.chunk_times import STATIONS, TOTAL, ChunkFollower, ChunkTimes
from vla_core.latency_ledger import LatencyLedger

MS = 1_000_000


def chunk(sequence: int, exposed_ms: int = 100, policy: str = "act@1") -> ActionChunk:
    stations = Stations(*((exposed_ms + ms) * MS for ms in (5, 6, 46, 47)))
    return ActionChunk(
        np.zeros((3, 2)), ("a", "b"), exposed_ms * MS, 33 * MS, exposed_ms * MS, policy, sequence, stations=stations
    )


def times(*stamps_ms: float) -> ChunkTimes:
    return ChunkTimes("act@1", 0, **dict(zip(STATIONS, (round(ms * MS) for ms in stamps_ms), strict=True)))


def test_a_chunk_is_told_of_once_when_the_first_plan_is_made_from_it() -> None:
    follower, given = ChunkFollower(), chunk(7)
    follower.received(given, 150 * MS)
    assert follower.planned(None, 151 * MS, 191 * MS) is None
    found = follower.planned(given, 160 * MS, 200 * MS)
    assert found == ChunkTimes(
        "act@1", 7, 100 * MS, 105 * MS, 106 * MS, 146 * MS, 147 * MS, 150 * MS, 160 * MS, 200 * MS
    )
    assert found.stages_ms() == pytest.approx((5.0, 1.0, 40.0, 1.0, 3.0, 10.0, 40.0, 100.0))
    assert follower.planned(given, 170 * MS, 210 * MS) is None


def test_a_chunk_that_another_one_overtook_was_never_used() -> None:
    follower = ChunkFollower()
    for sequence in (0, 1, 2):
        follower.received(chunk(sequence), (150 + sequence) * MS)
    assert follower.planned(chunk(1), 160 * MS, 200 * MS) is not None
    assert follower.planned(chunk(0), 170 * MS, 210 * MS) is None
    assert follower.planned(chunk(2), 180 * MS, 220 * MS) is not None


def test_chunks_before_arming_are_forgotten_and_never_pile_up() -> None:
    follower = ChunkFollower()
    follower.received(chunk(0), 1)
    follower.reset()
    assert follower.planned(chunk(0), 2, 3) is None
    for sequence in range(1000):
        follower.received(chunk(sequence), sequence)
    assert follower.planned(chunk(0), 2, 3) is None
    assert follower.planned(chunk(999), 2, 3) is not None


def test_each_stage_is_counted_in_its_bin() -> None:
    ledger = LatencyLedger(edges_ms=(0.0, 1.0, 10.0))
    ledger.note(times(100, 105, 105.5, 145.5, 146.5, 156.5, 157, 197))
    ledger.note(times(100, 99, 100, 140, 141, 142, 143, 183))  # a clock that is behind
    assert dict(zip(ledger.stages, ledger.counts.tolist(), strict=True)) == {
        "sensing": [1, 1, 0],
        "waiting": [1, 1, 0],
        "inference": [0, 0, 2],
        "publishing": [0, 2, 0],
        "transport": [0, 1, 1],
        "taking up": [1, 1, 0],
        "lead": [0, 0, 2],
        TOTAL: [0, 0, 2],
    }
    found = ledger.latency(TOTAL)
    assert (found.p50_ms, found.max_ms) == pytest.approx((90.0, 97.0))
    assert 90.0 < found.p95_ms < found.p99_ms < 97.0
    ledger.reset()
    assert ledger.counts.sum() == 0
    assert math.isnan(ledger.latency("inference").p50_ms)


def test_a_station_that_nobody_told_of_leaves_its_stages_out() -> None:
    ledger = LatencyLedger()
    ledger.note(times(100, 0, 0, 0, 0, 150, 160, 200))  # of a replay: nothing was inferred
    by_stage = dict(zip(ledger.stages, ledger.counts.sum(axis=1).tolist(), strict=True))
    assert by_stage == {
        "sensing": 0, "waiting": 0, "inference": 0, "publishing": 0, "transport": 0, "taking up": 1, "lead": 1, TOTAL: 1
    }  # fmt: skip


def test_only_the_newest_values_are_kept_for_percentiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vla_core.latency_ledger._KEPT", 2)
    ledger = LatencyLedger()
    for total_ms in (1000, 20, 30):
        ledger.note(times(100, 0, 0, 0, 0, 0, 0, 100 + total_ms))
    assert ledger.latency(TOTAL).max_ms == pytest.approx(30.0)
    assert ledger.counts.sum() == 3
