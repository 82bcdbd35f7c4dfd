"""Alignment equals a brute-force search over every sample, and steps come in order, once, without invented values."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_core.alignment import Aligner, StreamBuffer, StreamMonitor
from vla_core.embodiment import load_embodiment
from vla_core.embodiment.schema import Align, Steps
from vla_core.observation import Sample

MS = 1_000_000
FR3 = load_embodiment(Path(__file__).parents[3] / "config" / "embodiments" / "fr3.yaml")


def sample(stamp_ms: float, value: float = 0.0) -> Sample:
    stamp_ns = round(stamp_ms * MS)
    return Sample(stamp_ns, stamp_ns, np.array([value or stamp_ms]))


def brute_force(align: Align, samples: list[Sample], time_ns: int) -> float | None:
    """The value that the definition asks for, found by looking at every sample (first of equal stamps wins)."""
    tolerance_ns = align.tolerance_ms * MS
    unique: dict[int, Sample] = {}
    for one in samples:
        unique.setdefault(one.stamp_ns, one)
    near = [s for s in unique.values() if abs(s.stamp_ns - time_ns) <= tolerance_ns]
    before = max((s for s in near if s.stamp_ns <= time_ns), key=lambda s: s.stamp_ns, default=None)
    after = min((s for s in near if s.stamp_ns >= time_ns), key=lambda s: s.stamp_ns, default=None)
    if align.method == "latest_before":
        return None if before is None else float(before.value[0])
    if align.method == "nearest":
        both = [s for s in (before, after) if s is not None]
        best = min(both, key=lambda s: abs(s.stamp_ns - time_ns), default=None)
        return None if best is None else float(best.value[0])
    if before is None or after is None:
        return None
    if before is after:
        return float(before.value[0])
    share = (time_ns - before.stamp_ns) / (after.stamp_ns - before.stamp_ns)
    return float(before.value[0] + share * (after.value[0] - before.value[0]))


@settings(max_examples=400, deadline=None)
@given(
    method=st.sampled_from(["interpolate", "nearest", "latest_before"]),
    tolerance_ms=st.integers(1, 60),
    stamps=st.lists(st.integers(0, 900), min_size=0, max_size=40),  # jitter, drops, bursts, reordering, duplicates
    times=st.lists(st.integers(0, 900), min_size=1, max_size=10),
)
def test_the_choice_equals_a_brute_force_search(
    method: str, tolerance_ms: int, stamps: list[int], times: list[int]
) -> None:
    align = Align(method, tolerance_ms)  # type: ignore[arg-type]
    samples = [Sample(stamp * MS, 0, np.array([float(index)])) for index, stamp in enumerate(stamps)]
    buffer = StreamBuffer(align)
    for one in samples:
        buffer.push(one)
    for time in sorted(times):
        buffer.forget_before(time * MS)  # forgetting must not change any later choice
        found = buffer.sample_at(time * MS)
        expected = brute_force(align, samples, time * MS)
        assert (None if found is None else float(found.value[0])) == pytest.approx(expected)


def test_an_interpolated_sample_carries_the_older_stamp_and_nothing_is_extrapolated() -> None:
    buffer = StreamBuffer(Align("interpolate", 20))
    buffer.push(sample(10, 1.0))
    buffer.push(sample(14, 3.0))
    found = buffer.sample_at(12 * MS)
    assert found is not None
    assert found.value == pytest.approx([2.0])
    assert found.stamp_ns == 10 * MS
    assert buffer.sample_at(15 * MS) is None
    assert buffer.sample_at(9 * MS) is None


def test_a_step_is_decided_once_a_younger_sample_came_or_the_wait_is_over() -> None:
    buffer = StreamBuffer(Align("latest_before", 100, wait_ms=10))
    assert not buffer.settled(50 * MS, 50 * MS)
    buffer.push(sample(40))
    assert not buffer.settled(50 * MS, 59 * MS)
    assert buffer.settled(50 * MS, 60 * MS)
    buffer.push(sample(51))
    assert buffer.settled(50 * MS, 51 * MS)
    found = buffer.sample_at(50 * MS)
    assert found is not None
    assert found.stamp_ns == 40 * MS


def test_a_clock_set_back_starts_the_stream_anew() -> None:
    buffer = StreamBuffer(Align("nearest", 50))
    buffer.push(sample(20_000))
    buffer.push(sample(10))
    assert buffer.newest_ns == 10 * MS


def feed(aligner: Aligner, until_ms: int, drop: frozenset[int] = frozenset()) -> None:
    """Cameras at 30 Hz (numbers in ``drop`` are lost for the wrist), joints at 200 Hz, fingers at 30 Hz."""
    image = np.zeros((2, 2, 3), np.uint8)
    for k in range(until_ms * 30 // 1000 + 1):
        stamp = round(k * 1e9 / 30)
        aligner.push("scene", Sample(stamp, stamp, image))
        if k not in drop:
            aligner.push("wrist", Sample(stamp - 3 * MS, stamp, image))
        aligner.push("fingers", Sample(stamp, stamp, np.full(3, 0.04)))
    for t in range(0, until_ms + 6, 5):
        aligner.push("joints", Sample(t * MS, t * MS, np.full(21, t / 1000)))


def test_a_step_at_every_reference_image_with_joints_at_its_stamp() -> None:
    aligner = Aligner(FR3, ["scene", "wrist", "joints", "fingers"])
    feed(aligner, 1000)
    steps = aligner.pop(1_100 * MS)
    assert [s.stamp_ns for s in steps] == [round(k * 1e9 / 30) for k in range(31)]
    for step in steps[1:]:
        assert not aligner.missing(step)
        assert step.samples["joints"].value[0] == pytest.approx(step.stamp_ns * 1e-9)
        assert step.age_ns("wrist") == 3 * MS
        assert 0 <= step.age_ns("joints") < 5 * MS
    assert aligner.pop(2_000 * MS) == []


def test_streams_do_not_influence_each_other() -> None:
    """What the recorder and the policy see at a time is the same, although the recorder waits for more streams."""
    fewer, more = Aligner(FR3, ["scene", "joints"]), Aligner(FR3, ["scene", "joints", "wrist", "arm_command"])
    image = np.zeros((2, 2, 3), np.uint8)
    for aligner in (fewer, more):
        for t in range(0, 200, 7):
            aligner.push("joints", Sample(t * MS, t * MS, np.full(21, float(t))))
        for t in range(0, 190, 33):
            aligner.push("scene", Sample(t * MS, t * MS, image))
    ours, theirs = fewer.pop(10_000 * MS), more.pop(10_000 * MS)
    assert [s.stamp_ns for s in ours] == [s.stamp_ns for s in theirs]
    for a, b in zip(ours, theirs, strict=True):
        assert a.samples["joints"].value == pytest.approx(b.samples["joints"].value)
        assert set(more.missing(b)) == {"wrist", "arm_command"}


def test_a_lost_image_leaves_a_step_without_it() -> None:
    aligner = Aligner(FR3, ["scene", "wrist", "joints", "fingers"])
    feed(aligner, 1000, drop=frozenset({10, 11}))
    steps = aligner.pop(1_100 * MS)
    # 50 ms tolerance: one lost image is bridged by the one before, two are not
    assert [k for k, step in enumerate(steps) if "wrist" not in step.samples] == [11]


def test_a_faster_camera_is_thinned_to_the_step_rate() -> None:
    camera = dataclasses.replace(FR3.cameras["scene"], rate_hz=60)
    fast = dataclasses.replace(FR3, cameras={**FR3.cameras, "scene": camera})
    aligner = Aligner(fast, ["scene"])
    jitter = np.random.default_rng(3).uniform(-3, 3, 121)
    for k in range(121):
        aligner.push("scene", sample(max(0.0, k * 1000 / 60 + jitter[k])))
    assert len(aligner.pop(5_000 * MS)) == pytest.approx(61, abs=1)


def test_a_fixed_rate_uses_the_same_grid_in_every_process() -> None:
    fixed = dataclasses.replace(FR3, steps=Steps("fixed", 20))
    grids = []
    for offset_ms in (0, 13):
        aligner = Aligner(fixed, ["joints"])
        steps = []
        for t in range(1000 + offset_ms, 1500):
            aligner.push("joints", sample(t))
            steps += aligner.pop(t * MS)
        grids.append([s.stamp_ns for s in steps])
    assert all(stamp % (50 * MS) == 0 for stamp in grids[0])
    assert grids[1] == grids[0][-len(grids[1]) :]


def test_the_monitor_measures_rate_and_age_and_counts_disorder() -> None:
    monitor = StreamMonitor()
    assert np.isnan(monitor.age_s(0))
    for k in range(100):
        monitor.note(k * 20 * MS)
    monitor.note(50 * MS)
    now_ns = 99 * 20 * MS + 5 * MS
    assert monitor.rate_hz(now_ns) == pytest.approx(50.0)
    assert monitor.age_s(now_ns) == pytest.approx(0.005)
    assert (monitor.received, monitor.out_of_order) == (101, 1)
    assert monitor.rate_hz(now_ns + 3_000 * MS) == 0.0
