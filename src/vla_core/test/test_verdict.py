"""What is said about an episode: nothing about a good one, and one line for everything that was wrong with another."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vla_core.alignment import StreamStatus
from vla_core.embodiment import load_embodiment
from vla_core.episodes.metadata import RecordingSummary, StreamSummary
from vla_core.episodes.verdict import stream_summary, verdict_of

SECOND = 1_000_000_000
FR3 = load_embodiment(Path(__file__).parents[3] / "config" / "embodiments" / "fr3.yaml")
STEPS = np.arange(600) * SECOND // 30
WELL = {name: StreamSummary(round(20 * source.rate_hz), source.rate_hz) for name, source in FR3.sources.items()}


def lines(
    stamps: Any = STEPS, ages: dict[str, Any] | None = None, disk: int = 0, dropped: int = 0, **streams: dict[str, Any]
) -> tuple[str, ...]:
    changed = {name: dataclasses.replace(WELL[name], **what) for name, what in streams.items()}
    found = verdict_of(FR3, RecordingSummary(dropped, {**WELL, **changed}), stamps, ages or {}, disk)
    assert found.good == (not found.lines)
    return found.lines


def test_nothing_is_said_about_a_good_episode() -> None:
    jitter = np.random.default_rng(0).integers(-3_000_000, 3_000_000, len(STEPS))
    assert lines(STEPS + jitter, {"wrist": np.full(len(STEPS), 12_000_000)}) == ()
    assert lines(STEPS[:1]) == ()


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ({"scene": {"rate_hz": 17.02}}, "scene came at 17 Hz, 30 expected"),
        ({"joints": {"rate_hz": 2000.0}}, "joints came at 2e+03 Hz, 1000 expected"),
        ({"wrist": {"received": 0, "rate_hz": 0.0}}, "wrist never came"),
        ({"wrist": {"gaps": 2, "largest_gap_s": 0.24}}, "wrist: 240 ms gap"),
        ({"joints": {"gaps": 1, "largest_gap_s": 1.26}}, "joints: 1.3 s gap"),
        ({"wrist": {"missing_steps": 12}}, "wrist was missing in 12 steps, dropped"),
        ({"wrist": {"marked_steps": 1}}, "wrist was too old in 1 step, marked"),
        ({"scene": {"clock_jumps": 1}}, "scene: its clock jumped 1 time"),
        ({"joints": {"duplicates": 300}}, "joints: 300 messages of 20000 came twice"),
        ({"joints": {"out_of_order": 201}}, "joints: 201 messages of 20000 came out of order"),
    ],
)
def test_what_was_wrong_with_a_stream(what: dict[str, Any], expected: str) -> None:
    assert lines(**what) == (expected,)


@pytest.mark.parametrize(
    "what",
    [
        {"scene": {"rate_hz": 29.1}},
        {"joints": {"gaps": 3, "largest_gap_s": 0.019}},  # within its tolerance: every step has its sample
        {"joints": {"duplicates": 2, "out_of_order": 3}},
    ],
)
def test_what_does_no_harm_is_not_said(what: dict[str, Any]) -> None:
    assert lines(**what) == ()


def test_a_gap_is_named_with_its_step() -> None:
    stamps = np.delete(STEPS, slice(313, 320))
    assert lines(stamps) == ("267 ms gap at step 313",)
    ages = np.zeros(len(STEPS), np.int64)
    ages[100:107] = np.arange(1, 8) * SECOND // 30  # the same image again and again
    assert lines(ages={"wrist": ages}, wrist={"gaps": 1, "largest_gap_s": 0.267}) == ("wrist: 267 ms gap at step 107",)


def test_of_many_gaps_the_longest_are_named() -> None:
    stamps = np.delete(STEPS, [10, 11, 50, 51, 52, 90, 91, 200, 201, 202, 203, 400, 401])
    assert lines(stamps) == (
        "100 ms gap at step 10",
        "133 ms gap at step 48",
        "167 ms gap at step 193",
        "2 more gaps between steps",
    )


def test_time_that_goes_back_no_steps_and_a_slow_disk() -> None:
    assert lines(np.concatenate([STEPS[:100], STEPS[100:] - 10 * SECOND])) == ("time goes back by 10.0 s at step 100",)
    assert lines(STEPS[:0]) == ("no step was recorded",)
    assert lines(disk=3, dropped=3) == ("3 steps dropped: the disk was too slow",)


def status(**what: Any) -> StreamStatus:
    return StreamStatus(
        **{"name": "wrist", "topic": "/w", "rate_hz": 29.0, "expected_rate_hz": 30.0, "age_s": 0.0, **what}
    )


def test_a_summary_is_what_happened_between_two_statuses() -> None:
    before = status(received=100, gaps=4, duplicates=1, out_of_order=2, clock_jumps=1, newest_stamp_ns=50 * SECOND)
    after = status(
        received=400,
        gaps=5,
        duplicates=3,
        out_of_order=5,
        clock_jumps=1,
        largest_gap_s=0.1,
        newest_stamp_ns=60 * SECOND,
    )
    assert stream_summary(before, after, "header", 7, 8) == StreamSummary(300, 30.0, 1, 0.1, 2, 3, 0, 7, 8, "header")


def test_the_rate_is_measured_otherwise_where_stamps_cannot_tell() -> None:
    after = status(received=400, clock_jumps=1, newest_stamp_ns=40 * SECOND, rate_hz=0.0, mean_rate_hz=29.0)
    assert stream_summary(None, after, "header").rate_hz == 29.0
    jumped = stream_summary(status(received=100, newest_stamp_ns=50 * SECOND), after, "header")
    assert (jumped.rate_hz, jumped.clock_jumps, jumped.received) == (29.0, 1, 300)
    silent = status(received=100, newest_stamp_ns=50 * SECOND)
    assert stream_summary(silent, silent, "arrival") == StreamSummary(0, 0.0, stamp="arrival")
