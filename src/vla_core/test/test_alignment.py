"""When steps are due and decided, what they hold, and that recording and rollout see the same."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from vla_core.alignment import Aligner
from vla_core.embodiment import Embodiment, load_embodiment
from vla_core.embodiment.schema import Align, Camera, Field, Steps, Stream
from vla_core.observation import Sample, Step

MS = 1_000_000
SECOND = 1_000 * MS
FR3 = load_embodiment(Path(__file__).parents[3] / "config" / "embodiments" / "fr3.yaml")
ALL = ("scene", "wrist", "joints", "fingers")
IMAGE = np.zeros((2, 2, 3), np.uint8)


def sample(stamp_ms: float, came_ms: float | None = None, value: float | None = None) -> Sample:
    came_ms = stamp_ms if came_ms is None else came_ms
    return Sample(round(stamp_ms * MS), round(came_ms * MS), np.array([stamp_ms if value is None else value]))


def robot(align: Align, clock: str = "scene") -> Embodiment:
    """A camera at 10 Hz and one stream."""
    stream = Stream("/x", "std_msgs/msg/Float64", 0, align, {"x": Field("data", "1", ("x",))})
    camera = Camera("/scene", 2, 2, 10.0, Align("nearest", 1, 100))
    return dataclasses.replace(FR3, cameras={"scene": camera}, streams={"x": stream}, steps=Steps(clock, 10))


def one_step(align: Align, samples: list[Sample], image_ms: float = 500, came_ms: float | None = None) -> Step:
    """The step at an image, after everything has come."""
    aligner = Aligner(robot(align), ["scene", "x"])
    aligner.push("scene", sample(image_ms, came_ms))
    for found in sorted(samples, key=lambda one: one.receive_ns):
        aligner.push("x", found)
    (step,) = aligner.pop(10 * SECOND)
    return step


def feed(aligner: Aligner, until_ms: int, drop: frozenset[int] = frozenset()) -> None:
    """Cameras at 30 Hz (numbers in ``drop`` are lost for the wrist), joints at 200 Hz, fingers at 30 Hz."""
    for k in range(until_ms * 30 // 1000 + 1):
        stamp = round(k * 1e9 / 30)
        aligner.push("scene", Sample(stamp, stamp, IMAGE))
        if k not in drop:
            aligner.push("wrist", Sample(stamp - 3 * MS, stamp, IMAGE))
        aligner.push("fingers", Sample(stamp, stamp, np.full(3, 0.04)))
    for t in range(0, until_ms + 6, 5):
        aligner.push("joints", Sample(t * MS, t * MS, np.full(21, t / 1000)))


def test_a_step_at_every_reference_image_with_joints_at_its_stamp() -> None:
    aligner = Aligner(FR3, ALL)
    feed(aligner, 1000)
    steps = aligner.pop(1_100 * MS)
    assert [s.stamp_ns for s in steps] == [round(k * 1e9 / 30) for k in range(31)]
    for step in steps[1:]:
        assert not aligner.missing(step)
        assert step.samples["joints"].value[0] == pytest.approx(step.stamp_ns * 1e-9)
        assert step.age_ns("wrist") == 3 * MS
        assert 0 <= step.age_ns("joints") < 5 * MS
    assert aligner.pop(2_000 * MS) == []


def test_a_lost_image_leaves_a_step_without_it() -> None:
    aligner = Aligner(FR3, ALL)
    feed(aligner, 1000, drop=frozenset({10, 11}))
    steps = aligner.pop(1_100 * MS)
    # 50 ms tolerance: one lost image is bridged by the one before, two are not
    assert [k for k, step in enumerate(steps) if "wrist" not in step.samples] == [11]
    assert not any(step.marked for step in steps)


def test_an_interpolated_sample_carries_the_older_stamp_and_nothing_is_extrapolated() -> None:
    found = one_step(Align("interpolate", 20), [sample(490, value=1.0), sample(515, value=6.0)]).samples["x"]
    assert found.value == pytest.approx([3.0])
    assert found.stamp_ns == 490 * MS
    for lone in (490, 515):
        assert "x" not in one_step(Align("interpolate", 20), [sample(lone)]).samples


def test_nothing_is_used_that_came_after_the_wait() -> None:
    """A step at 500 ms: a younger sample, and a better older one, are of no use if they come too late."""
    early, late = sample(480, 485), sample(510, 531)
    assert one_step(Align("nearest", 50, 30), [early, late]).samples["x"].stamp_ns == 480 * MS
    assert one_step(Align("nearest", 50, 31), [early, late]).samples["x"].stamp_ns == 510 * MS
    assert one_step(Align("latest_before", 50, 30), [early, sample(499, 531)]).samples["x"].stamp_ns == 480 * MS
    assert "x" not in one_step(Align("interpolate", 50, 30), [early, late]).samples


def test_what_came_before_a_late_image_counts() -> None:
    """Nothing could be decided before the image came."""
    step = one_step(Align("latest_before", 50, 10), [sample(499, 590)], came_ms=600)
    assert step.samples["x"].stamp_ns == 499 * MS


def test_a_mark_keeps_the_last_true_sample_however_old() -> None:
    align = Align("latest_before", 50, on_missing="mark")
    step = one_step(align, [sample(20), sample(70)])
    assert (step.samples["x"].stamp_ns, step.age_ns("x"), step.marked) == (70 * MS, 430 * MS, {"x"})
    assert one_step(align, [sample(470)]).marked == frozenset()
    never = one_step(align, [sample(501)])  # younger than the step: nothing true is known at its time
    assert ("x" in never.samples, never.marked) == (False, frozenset())


@pytest.mark.parametrize("method", ["interpolate", "nearest"])
def test_a_mark_is_never_younger_than_the_step_and_never_interpolated(method: str) -> None:
    step = one_step(Align(method, 50, on_missing="mark"), [sample(100), sample(570)])  # type: ignore[arg-type]
    assert (step.samples["x"].stamp_ns, step.marked) == (100 * MS, {"x"})


def test_a_mark_lasts_as_long_as_nothing_comes() -> None:
    aligner = Aligner(robot(Align("latest_before", 50, on_missing="mark")), ["scene", "x"])
    aligner.push("x", sample(0, value=7.0))
    ages = []
    for k in range(600):
        aligner.push("scene", sample(100 * k))
        ages += [step.age_ns("x") for step in aligner.pop(100 * k * MS) if step.marked]
    assert ages[-1] > 59 * SECOND
    assert ages == sorted(ages)


def test_streams_do_not_influence_each_other() -> None:
    """What the recorder and the policy see at a time is the same, although the recorder waits for more streams."""
    fewer, more = Aligner(FR3, ["scene", "joints"], early=True), Aligner(FR3, [*ALL, "arm_command"])
    ours, theirs = [], []
    for t in range(0, 1000):
        for aligner in (fewer, more):
            if t % 7 == 0:
                aligner.push("joints", Sample((t - 2) * MS, t * MS, np.full(21, float(t))))
            if t % 33 == 0:
                aligner.push("scene", Sample((t - 10) * MS, t * MS, IMAGE))
            if t % 33 == 5 and aligner is more:
                aligner.push("wrist", Sample((t - 10) * MS, t * MS, IMAGE))
        ours += fewer.pop(t * MS)
        theirs += more.pop(t * MS) if t % 40 == 0 else []
    theirs += more.flush()
    assert len(ours) > 25
    for a, b in zip(ours, theirs, strict=False):
        assert a.stamp_ns == b.stamp_ns
        assert ("joints" in a.samples) == ("joints" in b.samples) == (a.stamp_ns > 0)
        if a.stamp_ns > 0:
            assert a.samples["joints"].value == pytest.approx(b.samples["joints"].value)
        assert set(more.missing(b)) >= {"fingers", "arm_command"}


def test_a_rollout_does_not_wait_longer_than_it_must() -> None:
    align = Align("interpolate", 50, wait_ms=40)
    early, patient = (Aligner(robot(align), ["scene", "x"], early=early) for early in (True, False))
    for aligner in (early, patient):
        aligner.push("scene", sample(500, 501))
        aligner.push("x", sample(495, 496))
        assert aligner.pop(504 * MS) == []
        aligner.push("x", sample(505, 506))
    assert len(early.pop(506 * MS)) == 1
    assert patient.pop(540 * MS) == []
    assert len(patient.pop(600 * MS)) == 1


def test_a_message_that_was_overtaken_counts_if_it_came_in_time() -> None:
    """An aligner that records waits for it; one that decides early has decided without."""
    align = Align("latest_before", 100, wait_ms=40)
    for early, expected in ((True, 460), (False, 490)):
        aligner = Aligner(robot(align), ["scene", "x"], early=early)
        aligner.push("scene", sample(500, 501))
        aligner.push("x", sample(460, 461))
        aligner.push("x", sample(510, 511))
        steps = aligner.pop(511 * MS)
        aligner.push("x", sample(490, 530))
        steps += aligner.pop(600 * MS)
        assert [step.samples["x"].stamp_ns for step in steps] == [expected * MS]


def test_an_image_that_was_overtaken_becomes_a_step_in_its_place() -> None:
    aligner = Aligner(robot(Align("latest_before", 500, 100)), ["scene", "x"])
    aligner.push("x", sample(0))
    for stamp, came in ((0, 1), (200, 201), (100, 210), (300, 301)):
        aligner.push("scene", sample(stamp, came))
    assert [step.stamp_ns // MS for step in aligner.pop(SECOND)] == [0, 100, 200, 300]
    aligner.push("scene", sample(150, 400))  # too late: what follows it has been handed out
    assert aligner.pop(2 * SECOND) == []


def test_the_first_of_two_messages_with_one_stamp_counts() -> None:
    step = one_step(Align("nearest", 50), [sample(499, 500, 1.0), sample(499, 501, 2.0)])
    assert step.samples["x"].value == pytest.approx([1.0])


@pytest.mark.parametrize("jump_ms", [-10_000, 10_000])
def test_a_clock_that_is_set_for_all_streams_costs_no_step(jump_ms: int) -> None:
    """Waiting is over in time, and nothing from before is taken for something after, although the stamps are the same."""
    aligner = Aligner(robot(Align("interpolate", 15, 30)), ["scene", "x"])
    steps, came = [], []
    for t in range(0, 30_000, 10):
        ahead = jump_ms if t >= 20_005 else 0
        aligner.push("x", sample(t + ahead, t + 1, value=float(t)))
        if t % 100 == 0:
            aligner.push("scene", sample(t + 5 + ahead, t + 40))
        new = aligner.pop((t + 1) * MS)
        steps += new
        came += [t] * len(new)
    assert len(steps) == pytest.approx(300, abs=2)
    assert max(np.diff(came)) <= 200
    for step, t in zip(steps, came, strict=True):
        true_ms = step.stamp_ns / MS - (jump_ms if step.stamp_ns > 25 * SECOND or step.stamp_ns / MS + 200 < t else 0)
        if "x" in step.samples:
            assert step.samples["x"].value == pytest.approx([true_ms], abs=1e-6)
    assert sum("x" not in step.samples for step in steps) <= 2


@pytest.mark.parametrize("jump_ms", [-10_000, 10_000])
def test_a_stream_whose_clock_is_set_alone_is_missing_until_it_is_right_again(jump_ms: int) -> None:
    aligner = Aligner(robot(Align("nearest", 15, 30)), ["scene", "x"])
    steps = []
    for t in range(0, 30_000, 10):
        wrong = 10_000 < t <= 20_000
        aligner.push("x", sample(t + (jump_ms if wrong else 0), t + 1, value=float(t)))
        if t % 100 == 0:
            aligner.push("scene", sample(t, t + 20))
        steps += aligner.pop((t + 1) * MS)
    for step in steps:
        missing = 10.05 < step.stamp_ns / SECOND < 19.95
        assert ("x" not in step.samples) == missing or abs(step.stamp_ns / SECOND % 10) < 0.1
        if "x" in step.samples:
            assert step.samples["x"].value == pytest.approx([step.stamp_ns / MS], abs=15)


@pytest.mark.parametrize("ahead_ms", [-10_000, 10_000])
def test_one_wrong_stamp_costs_at_most_its_own_step(ahead_ms: int) -> None:
    aligner = Aligner(robot(Align("interpolate", 15, 30)), ["scene", "x"])
    steps = []
    for t in range(0, 3_000, 10):
        aligner.push("x", sample(t + (ahead_ms if t == 1_000 else 0), t + 1))
        if t % 100 == 0:
            aligner.push("scene", sample(t + 5 + (ahead_ms if t == 2_000 else 0), t + 20))
        steps += aligner.pop((t + 1) * MS)
    without = [step.stamp_ns // MS for step in steps if "x" not in step.samples]
    assert set(without) <= {1_005, 2_005 + ahead_ms}
    assert len(steps) >= 28


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
            steps += aligner.pop(t * MS) if t % 7 == 0 else []
        grids.append([s.stamp_ns for s in steps])
    assert len(grids[0]) > 5
    assert all(stamp % (50 * MS) == 0 for stamp in grids[0])
    assert grids[1] == grids[0][-len(grids[1]) :]


def test_a_grid_begins_with_the_first_message_and_survives_a_pause_and_a_clock_that_is_set() -> None:
    aligner = Aligner(robot(Align("latest_before", 50, 0), clock="fixed"), ["x"])
    assert aligner.pop(5 * SECOND) == []
    aligner.push("x", sample(7_050))
    assert [step.stamp_ns // MS for step in aligner.pop(7_330 * MS)] == [7_100, 7_200, 7_300]
    assert len(aligner.pop(1_000 * SECOND)) <= 1  # not one for each tenth of a second that nobody asked for
    aligner.push("x", sample(3_000))
    steps = aligner.pop(3_000 * MS) + aligner.pop(3_330 * MS)
    assert [step.stamp_ns // MS for step in steps] == [1_000_000, 3_000, 3_100, 3_200, 3_300]
    assert [bool(step.samples) for step in steps] == [False, True, False, False, False]


def test_memory_stays_bounded_while_the_reference_is_silent_or_its_clock_is_wrong() -> None:
    for ahead_ms in (None, 0, -10_000, 10_000):
        aligner = Aligner(robot(Align("interpolate", 15, 30)), ["scene", "x"])
        for t in range(0, 30_000, 2):
            aligner.push("x", sample(t, t + 1))
            if ahead_ms is not None and t % 100 == 0:
                aligner.push("scene", sample(t + ahead_ms, t + 1))
            aligner.pop((t + 1) * MS)
        assert aligner.kept < 3_000
