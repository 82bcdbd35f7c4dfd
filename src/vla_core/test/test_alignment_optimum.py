"""What a step holds equals the best that the definition allows, found by looking at every message, on any stream.

The definition, once more, in plain words. A step at time t, whose reference image came at R, may see a message of a stream if it
came until t + wait, or until R if that is later; where the reference's clock and ours differ by more than a second, until
R + wait. The message must not be ahead of its arrival by a second more than the reference. Of those it gets, by the stream's
method, the best that is within the tolerance; of equal stamps the one that came first.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_core.alignment import Aligner
from vla_core.embodiment import Embodiment, load_embodiment
from vla_core.embodiment.schema import Align, Camera, Field, Steps, Stream
from vla_core.observation import Sample, Step

MS = 1_000_000
SECOND = 1_000 * MS
TICK = 10 * MS
START = 1_000 * SECOND
FR3 = load_embodiment(Path(__file__).parents[3] / "config" / "embodiments" / "fr3.yaml")


@dataclass(frozen=True)
class Faults:
    """What happens to the messages of a stream between their source and us."""

    jitter_ms: int = 0
    latency_ms: int = 5
    late_ms: int = 0  # some come so much later, and are overtaken
    lost: float = 0.0
    twice: float = 0.0
    burst_ms: int = 0  # everything of such a time comes at once, at its end
    clock_s: tuple[tuple[float, float], ...] = ()  # from when on the clock is ahead by how much

    def messages(self, name: str, rate_hz: int, until_s: float, seed: int) -> list[Sample]:
        """The stream in the order of arrival. Values are unique."""
        random = np.random.default_rng((seed, *name.encode()))
        found = []
        for k in range(int(until_s * rate_hz)):
            true_ns = START + k * SECOND // rate_hz + round(random.uniform(0, self.jitter_ms) * MS)
            if random.random() < self.lost:
                continue
            for _ in range(1 + (random.random() < self.twice)):
                delay = self.latency_ms + (random.uniform(0, self.late_ms) if random.random() < 0.3 else 0.0)
                came_ns = true_ns + round((delay + random.uniform(0, 2)) * MS)
                if self.burst_ms:
                    came_ns = -(-came_ns // (self.burst_ms * MS)) * self.burst_ms * MS
                ahead_s = next(
                    (ahead for begin, ahead in reversed(self.clock_s) if true_ns >= START + begin * SECOND), 0.0
                )
                found.append(
                    Sample(true_ns + round(ahead_s * SECOND), came_ns, np.array([float(len(found)), float(k)]))
                )
        return sorted(found, key=lambda one: one.receive_ns)


def embodiment(aligns: dict[str, Align], clock: str = "scene") -> Embodiment:
    """A camera ``scene`` at 10 Hz and streams at 50 Hz."""
    camera = Camera("/scene", 4, 4, 10.0, Align("nearest", 1, 30))
    fields = {"x": Field("data", "1", ("a", "b"))}
    streams = {name: Stream(f"/{name}", "std_msgs/msg/Float64", 50.0, align, fields) for name, align in aligns.items()}
    return dataclasses.replace(FR3, cameras={"scene": camera}, streams=streams, steps=Steps(clock, 10))


def steps_of(
    aligner: Aligner, messages: dict[str, list[Sample]], tick_ns: int = TICK, first_ns: int = START
) -> list[Step]:
    """Plays messages as a node takes them: by topics, as far as they have come, and then a tick."""
    waiting = {name: list(those) for name, those in messages.items()}
    steps, now_ns = [], first_ns
    while any(waiting.values()):
        now_ns += tick_ns
        for name, those in waiting.items():
            while those and those[0].receive_ns <= now_ns:
                aligner.push(name, those.pop(0))
        steps += aligner.pop(now_ns)
    return steps + aligner.flush()


def best(align: Align, time_ns: int, seen_ns: int, lead_ns: int, messages: list[Sample]) -> tuple[str, Sample | None]:
    """The optimum by definition. Returns whether it is ``within`` the tolerance, ``marked`` or ``missing``, and the sample."""
    agrees = abs(lead_ns) <= SECOND
    until_ns = max(seen_ns, (time_ns if agrees else seen_ns) + align.wait_ms * MS)
    first: dict[int, Sample] = {}
    for one in messages:
        if one.receive_ns <= until_ns and one.stamp_ns - one.receive_ns <= lead_ns + SECOND:
            first.setdefault(one.stamp_ns, one)
    near = [one for one in first.values() if abs(one.stamp_ns - time_ns) <= align.tolerance_ms * MS]
    older = max((one for one in near if one.stamp_ns <= time_ns), key=lambda one: one.stamp_ns, default=None)
    younger = min((one for one in near if one.stamp_ns >= time_ns), key=lambda one: one.stamp_ns, default=None)
    found: Sample | None
    if align.method == "latest_before":
        found = older
    elif align.method == "nearest":
        pair = [one for one in (older, younger) if one is not None]
        found = min(pair, key=lambda one: abs(one.stamp_ns - time_ns), default=None)
    elif older is None or younger is None or older is younger:
        found = older if younger is not None else None
    else:
        share = (time_ns - older.stamp_ns) / (younger.stamp_ns - older.stamp_ns)
        found = Sample(older.stamp_ns, 0, (1 - share) * older.value + share * younger.value)
    if found is not None:
        return "within", found
    last = max((one for one in first.values() if one.stamp_ns <= time_ns), key=lambda one: one.stamp_ns, default=None)
    return ("marked", last) if align.on_missing == "mark" and last is not None else ("missing", None)


def require_optimum(robot: Embodiment, messages: dict[str, list[Sample]], steps: list[Step]) -> None:
    """Every image of the reference is a step, in the order of arrival, and holds the optimum of each stream."""
    images = messages["scene"]
    due = [one for k, one in enumerate(images) if k == 0 or one.stamp_ns != images[k - 1].stamp_ns]
    assert [step.stamp_ns for step in steps] == [one.stamp_ns for one in due]
    lead_ns, newest_ns = 0, None
    for step, image in zip(steps, due, strict=True):
        ahead_ns = image.stamp_ns - image.receive_ns
        lead_ns = ahead_ns if newest_ns is None or image.stamp_ns < newest_ns - SECOND else max(lead_ns, ahead_ns)
        newest_ns = image.stamp_ns
        for name, stream in robot.streams.items():
            how, expected = best(stream.align, step.stamp_ns, image.receive_ns, lead_ns, messages[name])
            assert (name in step.samples, name in step.marked) == (how != "missing", how == "marked"), (name, step)
            if expected is not None:
                assert step.samples[name].stamp_ns == expected.stamp_ns
                assert step.samples[name].value == pytest.approx(expected.value)


def aligns(marks: bool) -> st.SearchStrategy[Align]:
    methods = st.sampled_from(["interpolate", "nearest", "latest_before"])
    on_missing = st.sampled_from(["drop", "mark"]) if marks else st.just("drop")
    return st.builds(Align, methods, st.integers(1, 120), st.integers(0, 200), on_missing)


JUMPS = st.lists(
    st.tuples(st.floats(0.3, 4.5), st.sampled_from([-10.0, -2.5, 0.0, 2.5, 10.0])),
    max_size=3,
    unique_by=lambda jump: jump[0],
).map(lambda jumps: tuple(sorted(jumps)))


def faults(jumps: st.SearchStrategy[tuple[tuple[float, float], ...]]) -> st.SearchStrategy[Faults]:
    return st.builds(
        Faults,
        jitter_ms=st.integers(0, 25),
        latency_ms=st.integers(0, 120),
        late_ms=st.sampled_from([0, 0, 40, 300]),
        lost=st.sampled_from([0.0, 0.1, 0.5]),
        twice=st.sampled_from([0.0, 0.2]),
        burst_ms=st.sampled_from([0, 0, 130, 700]),
        clock_s=jumps,
    )


def reference(jumps: st.SearchStrategy[tuple[tuple[float, float], ...]]) -> st.SearchStrategy[Faults]:
    return st.builds(
        Faults,
        latency_ms=st.integers(0, 90),
        lost=st.sampled_from([0.0, 0.3]),
        twice=st.sampled_from([0.0, 0.2]),
        burst_ms=st.sampled_from([0, 0, 250]),
        clock_s=jumps,
    )


NONE = st.just(())


@settings(max_examples=150, deadline=None)
@given(aligns(True), aligns(True), reference(NONE), faults(NONE), faults(NONE), st.integers(0, 10_000))
def test_steps_hold_the_optimum_whatever_happens_to_the_messages(
    one: Align, other: Align, camera: Faults, first: Faults, second: Faults, seed: int
) -> None:
    robot = embodiment({"one": one, "other": other})
    messages = {
        "scene": camera.messages("scene", 10, 5.0, seed),
        "one": first.messages("one", 50, 4.5, seed),
        "other": second.messages("other", 20, 5.0, seed),
    }
    require_optimum(robot, messages, steps_of(Aligner(robot, messages), messages))


@settings(max_examples=150, deadline=None)
@given(aligns(False), reference(JUMPS), faults(JUMPS), st.booleans(), st.integers(0, 10_000))
def test_steps_hold_the_optimum_where_clocks_are_set(
    align: Align, camera: Faults, stream: Faults, same_clock: bool, seed: int
) -> None:
    """Camera and stream on one computer whose clock is set, or on two."""
    if same_clock:
        stream = dataclasses.replace(stream, clock_s=camera.clock_s)
    robot = embodiment({"one": align})
    messages = {"scene": camera.messages("scene", 10, 5.0, seed), "one": stream.messages("one", 50, 5.0, seed)}
    require_optimum(robot, messages, steps_of(Aligner(robot, messages), messages))
