"""Rates, ages and counts of a stream: what is normal counts as nothing, and every fault counts as itself."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_core.alignment import StreamMonitor, StreamStatus, stamp_of
from vla_core.embodiment import load_embodiment
from vla_core.errors import StreamError

MS = 1_000_000
SECOND = 1_000 * MS
FR3 = load_embodiment(Path(__file__).parents[3] / "config" / "embodiments" / "fr3.yaml")


def watched(stamps_ms: list[float], came_ms: list[float] | None = None, rate_hz: float = 50.0) -> StreamMonitor:
    monitor = StreamMonitor(rate_hz)
    for stamp, came in zip(stamps_ms, came_ms or stamps_ms, strict=True):
        monitor.note(round(stamp * MS), round(came * MS))
    return monitor


def status(monitor: StreamMonitor, now_ms: float) -> StreamStatus:
    return monitor.status("x", "/x", round(now_ms * MS))


def counts(found: StreamStatus) -> tuple[int, int, int, int, int]:
    return found.received, found.duplicates, found.out_of_order, found.clock_jumps, found.gaps


REGULAR = [20.0 * k for k in range(100)]
END = REGULAR[-1]


def test_before_the_first_message_nothing_is_known() -> None:
    found = status(StreamMonitor(50.0), 10_000)
    assert math.isnan(found.age_s)
    assert (found.rate_hz, found.expected_rate_hz, found.largest_gap_s, found.newest_stamp_ns) == (0.0, 50.0, 0.0, 0)
    assert counts(found) == (0, 0, 0, 0, 0)


def test_a_stream_as_declared() -> None:
    found = status(watched(REGULAR), END + 5)
    assert found.rate_hz == pytest.approx(50.0)
    assert found.age_s == pytest.approx(0.005)
    assert found.largest_gap_s == pytest.approx(0.020)
    assert found.newest_stamp_ns == round(END * MS)
    assert counts(found) == (100, 0, 0, 0, 0)


def test_the_mean_rate_is_that_since_the_clock_jumped_and_stays_when_the_stream_ends() -> None:
    assert status(watched([5.0]), 10).mean_rate_hz == 0.0
    ended = status(watched(REGULAR), END + 60_000)
    assert (ended.rate_hz, ended.mean_rate_hz) == (0.0, pytest.approx(50.0))
    slower = [40.0 * k for k in range(30)]
    set_ahead = [100_000 + late for late in slower]
    came = [END + 40 + late for late in slower]
    assert status(watched(REGULAR + set_ahead, REGULAR + came), came[-1]).mean_rate_hz == pytest.approx(25.0)


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        ([*REGULAR, END], (101, 1, 0, 0, 0)),
        ([*REGULAR, 1_000.0], (101, 1, 0, 0, 0)),
        ([*REGULAR, 1_005.0], (101, 0, 1, 0, 0)),
        ([*REGULAR, 1_005.0, 1_005.0], (102, 1, 1, 0, 0)),
        ([*REGULAR, END + 50], (101, 0, 0, 0, 0)),
        ([*REGULAR, END + 51], (101, 0, 0, 0, 1)),
        ([*REGULAR, END - 1_001], (101, 0, 0, 1, 0)),
    ],
)
def test_each_fault_counts_as_itself(stamps: list[float], expected: tuple[int, ...]) -> None:
    came = [*REGULAR, *(END + 20.0 for _ in stamps[len(REGULAR) :])]
    assert counts(status(watched(stamps, came), END + 30)) == expected


@pytest.mark.parametrize("ahead_ms", [-10_000.0, 10_000.0])
def test_a_clock_that_is_set_is_a_jump_and_no_gap(ahead_ms: float) -> None:
    came = [10.0 * k for k in range(400)]
    stamps = [t + (ahead_ms if 100 <= k < 300 else 0.0) for k, t in enumerate(came)]
    monitor = watched(stamps, came, rate_hz=100)
    assert counts(status(monitor, came[-1])) == (400, 0, 0, 2, 0)
    assert status(monitor, came[-1]).largest_gap_s == pytest.approx(0.010)
    assert monitor.rate_hz(round(came[-1] * MS)) == pytest.approx(100.0)


def test_a_source_whose_clock_is_always_ahead_jumped_once() -> None:
    came = [20.0 * k for k in range(100)]
    assert status(watched([t + 5_000 for t in came], came), came[-1]).clock_jumps == 1
    assert status(watched([t + 5_000 + (20_000 if t > 1_000 else 0) for t in came], came), came[-1]).clock_jumps == 2


def test_a_queue_that_empties_late_is_no_gap_no_rate_and_no_jump() -> None:
    came = [t if t < 500 or t > 1_700 else 1_700.0 for t in REGULAR]
    assert counts(status(watched(REGULAR, came), END)) == (100, 0, 0, 0, 0)
    late_at_first = [max(t, 1_500.0) for t in REGULAR]
    assert counts(status(watched(REGULAR, late_at_first), END)) == (100, 0, 0, 0, 0)


def test_a_silence_counts_while_it_lasts_and_once_when_it_is_over() -> None:
    monitor = watched(REGULAR)
    assert (status(monitor, END + 49).gaps, status(monitor, END + 300).gaps) == (0, 1)
    assert status(monitor, END + 300).largest_gap_s == pytest.approx(0.3)
    monitor.note(round((END + 400) * MS), round((END + 400) * MS))
    assert (status(monitor, END + 410).gaps, status(monitor, END + 410).largest_gap_s) == (1, pytest.approx(0.4))
    assert status(monitor, END + 3_000).rate_hz == 0.0


def test_the_largest_gap_is_that_of_the_episode() -> None:
    monitor = watched([0.0, 900.0, 920.0])
    monitor.begin_episode()
    assert status(monitor, 930).largest_gap_s == 0.0
    monitor.note(945 * MS, 945 * MS)
    assert status(monitor, 950).largest_gap_s == pytest.approx(0.025)
    assert status(monitor, 950).gaps == 1


def test_a_stream_without_a_declared_rate_has_no_gaps() -> None:
    found = status(watched([0.0, 10_000.0], rate_hz=0.0), 100_000)
    assert (found.gaps, found.largest_gap_s) == (0, 10.0)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 900), min_size=1, max_size=60))
def test_counts_equal_a_plain_count(stamps: list[int]) -> None:
    """Everything within less than a second: each message is new, or has come before, or was overtaken."""
    found = status(watched([float(stamp) for stamp in stamps], [1_000.0] * len(stamps)), 1_000)
    before = [stamps[:k] for k in range(len(stamps))]
    duplicates = sum(stamp in earlier for stamp, earlier in zip(stamps, before, strict=True))
    overtaken = sum(
        stamp < max(earlier, default=0) and stamp not in earlier for stamp, earlier in zip(stamps, before, strict=True)
    )
    assert (found.duplicates, found.out_of_order, found.clock_jumps) == (duplicates, overtaken, 0)
    highest = sorted({max(stamps[: k + 1]) for k in range(len(stamps))})
    gaps = [b - a for a, b in itertools.pairwise(highest)]
    assert found.largest_gap_s * 1e3 == pytest.approx(max(gaps, default=0))


def test_the_stamp_is_the_one_that_is_declared() -> None:
    joints, command = FR3.streams["joints"], FR3.streams["gripper_command"]
    assert stamp_of("joints", joints, 5 * SECOND, 6 * SECOND) == 5 * SECOND
    assert stamp_of("gripper_command", command, None, 6 * SECOND) == 6 * SECOND
    assert stamp_of("gripper_command", command, 5 * SECOND, 6 * SECOND) == 6 * SECOND
    assert stamp_of("joints", joints, 0, 3 * MS) == 0  # a simulation begins at 0


@pytest.mark.parametrize("header_ns", [0, None])
def test_a_header_that_nobody_stamped_is_refused(header_ns: int | None) -> None:
    with pytest.raises(StreamError, match=r"'joints' \(/franka/joint_states\).*'stamp: arrival'"):
        stamp_of("joints", FR3.streams["joints"], header_ns, 1_700_000_000 * SECOND)
