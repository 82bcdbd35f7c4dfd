"""Playing a recording back: when, what, and that aligning it again gives the recorded steps. Without ROS."""

from __future__ import annotations

import dataclasses
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_core.alignment import Aligner
from vla_core.embodiment import Embodiment, load_embodiment
from vla_core.episodes import EpisodeMetadata, EpisodeReader, Hdf5EpisodeWriter
from vla_core.errors import EpisodeError
from vla_core.observation import Sample, Step
from vla_recorder.bags import BagError, BagReader
from vla_recorder.playback import BagSource, EpisodeSource, Event, PlaybackError, Schedule, Timeline, open_source

ROOT = Path(__file__).parents[3]
BAGS = ROOT / "test" / "data" / "bags"
FR3 = load_embodiment(ROOT / "config" / "embodiments" / "fr3_sim.yaml")
MS = 1_000_000
SECOND = 1_000 * MS
START = 1_700_000_000 * SECOND

# -- when ------------------------------------------------------------------------------------------------------------------

times = st.integers(0, 2**61)


@given(first=times, start=times, stamps=st.lists(times, min_size=2, max_size=20))
def test_at_speed_one_all_times_move_by_one_constant_exactly(first: int, start: int, stamps: list[int]) -> None:
    timeline = Timeline(first, start)
    assert {timeline.at(stamp) - stamp for stamp in stamps} == {start - first}


@given(start=times, elapsed=st.integers(0, 3_600 * SECOND), speed=st.floats(0.01, 10.0))
def test_speed_divides_the_time_since_the_first_message(start: int, elapsed: int, speed: float) -> None:
    assert Timeline(START, start, speed).at(START + elapsed) - start == pytest.approx(elapsed / speed, abs=2)


@pytest.mark.parametrize("speed", [0.0, -2.0, float("nan"), float("inf")])
def test_a_speed_that_is_none_is_refused(speed: float) -> None:
    with pytest.raises(PlaybackError, match="speed: expected a positive number"):
        Timeline(0, 0, speed)


def events_at(stamps: list[int]) -> Iterator[Event]:
    return (Event("/topic", stamp, None, index) for index, stamp in enumerate(stamps))


@given(
    gaps=st.lists(st.integers(0, 500 * MS), min_size=1, max_size=30),
    ticks=st.lists(st.integers(1, 200 * MS), min_size=1, max_size=100),
    speed=st.sampled_from([0.5, 1.0, 3.0]),
)
def test_every_event_is_handed_out_once_in_order_and_at_the_first_tick_when_it_is_due(
    gaps: list[int], ticks: list[int], speed: float
) -> None:
    stamps = [START + offset for offset in itertools.accumulate(gaps)]
    schedule = Schedule(events_at(stamps), start_ns=7, speed=speed)
    before, handed_out = 6, []
    for now in itertools.accumulate([*ticks, 30 * SECOND], initial=7):
        for event in schedule.due(now):
            assert before < schedule.timeline.at(event.time_ns) <= now
            handed_out.append(event.value)
        before = now
    assert handed_out == list(range(len(stamps)))
    assert schedule.over
    assert schedule.newest_ns == stamps[-1]


def test_nothing_to_play_is_refused() -> None:
    with pytest.raises(PlaybackError, match="expected messages to play, found none"):
        Schedule(iter(()), 0)


# -- a bag -----------------------------------------------------------------------------------------------------------------


def test_a_bag_is_played_in_the_order_and_at_the_times_of_its_reception() -> None:
    with BagReader(BAGS / "scene_mcap") as bag:
        expected = [(message.topic, message.receive_ns) for message in bag.messages()]
    source = open_source(BAGS / "scene_mcap")
    assert [(event.topic, event.time_ns) for event in source.events()] == expected
    assert sum(topic.count for topic in source.topics.values()) == len(expected)


def test_chosen_topics_are_played_and_no_others() -> None:
    source = open_source(BAGS / "scene_mcap", ["prompt", "/gripper/command"])
    assert set(source.topics) == {"/prompt", "/gripper/command"}
    assert {event.topic for event in source.events()} == {"/prompt", "/gripper/command"}
    assert source.topics["/prompt"].latched


def test_unknown_topics_and_missing_files_are_refused() -> None:
    with pytest.raises(PlaybackError, match=r"expected the topics /tf, found only .*/wrench"):
        BagSource(BAGS / "scene_mcap", ["/tf"])
    with pytest.raises(BagError, match="found nothing"):
        open_source(BAGS / "nothing")
    with pytest.raises(EpisodeError, match="found nothing"):
        open_source(BAGS / "nothing.hdf5")


# -- an episode ------------------------------------------------------------------------------------------------------------


def small(**changes: object) -> Embodiment:
    cameras = {role: dataclasses.replace(c, height=2, width=3) for role, c in FR3.cameras.items()}
    return dataclasses.replace(FR3, cameras=cameras, **changes)


def live_samples(embodiment: Embodiment, seconds: float, seed: int) -> Iterator[tuple[str, Sample]]:
    """What a robot's topics carry, in the order in which it arrives: uneven stamps, delays, other values every time."""
    rng = np.random.default_rng(seed)
    arrivals = []
    for name, source in {**embodiment.cameras, **embodiment.streams}.items():
        rate_hz = min(source.rate_hz, 200.0)
        count = int(seconds * rate_hz)
        jitter_ns = rng.integers(0, int(0.2e9 / rate_hz), count)
        stamps_ns = START + (np.arange(count) * 1e9 / rate_hz).astype(np.int64) + jitter_ns
        for stamp_ns in stamps_ns:
            is_camera = name in embodiment.cameras
            value = rng.integers(0, 256, (2, 3, 3), np.uint8) if is_camera else rng.normal(size=source.size)
            receive_ns = int(stamp_ns) + int(rng.integers(0, 5 * MS))
            stamp = receive_ns if source.stamp == "arrival" else int(stamp_ns)
            arrivals.append((receive_ns, name, Sample(stamp, receive_ns, value)))
    for _, name, sample in sorted(arrivals, key=lambda arrival: arrival[0]):
        yield name, sample


def steps_of(embodiment: Embodiment, samples: Iterator[tuple[str, Sample]]) -> list[Step]:
    """The complete steps that a recorder with ticks of 10 ms makes of samples that arrive."""
    names = (*embodiment.cameras, *embodiment.streams)
    aligner = Aligner(embodiment, names)
    steps: list[Step] = []
    now_ns = START
    for name, sample in samples:
        while sample.receive_ns > now_ns:
            steps += aligner.pop(now_ns)
            now_ns += 10 * MS
        aligner.push(name, sample)
    for _ in range(100):
        steps += aligner.pop(now_ns)
        now_ns += 10 * MS
    return [step for step in steps if len(step.samples) == len(names)]


def written(folder: Path, embodiment: Embodiment, steps: list[Step]) -> Path:
    writer = Hdf5EpisodeWriter(folder, EpisodeMetadata("put it there", "sim", embodiment))
    for step in steps:
        writer.append(step)
    return writer.finish("success")


def played(source: EpisodeSource, embodiment: Embodiment, late_ns: int) -> Iterator[tuple[str, Sample]]:
    """The samples that subscribers of a playback get: ``late_ns`` after each was published."""
    for event in source.events():
        name = source.names[event.topic]
        stamped = {**embodiment.cameras, **embodiment.streams}[name].stamp
        receive_ns = event.time_ns + late_ns
        assert event.stamp_ns is not None
        yield name, Sample(receive_ns if stamped == "arrival" else event.stamp_ns, receive_ns, event.value)


@given(seed=st.integers(0, 2**32), late_ms=st.integers(0, 20), end_steps=st.integers(0, 3))
@settings(max_examples=15, deadline=None)
def test_aligning_a_played_episode_gives_its_steps_again(seed: int, late_ms: int, end_steps: int) -> None:
    embodiment = small(steps=dataclasses.replace(FR3.steps, end_steps=end_steps))
    recorded = steps_of(embodiment, live_samples(embodiment, 1.5, seed))
    assert len(recorded) > 20
    with tempfile.TemporaryDirectory() as folder:
        source = EpisodeSource(written(Path(folder), embodiment, recorded))
        again = steps_of(embodiment, played(source, embodiment, late_ms * MS))
    assert [step.stamp_ns for step in again] == [step.stamp_ns for step in recorded]
    for before, after in zip(recorded, again, strict=True):
        for name in (*embodiment.cameras, *embodiment.streams):
            np.testing.assert_array_equal(after.samples[name].value, before.samples[name].value)


def test_an_episode_says_topics_types_and_counts(tmp_path: Path) -> None:
    embodiment = small()
    steps = steps_of(embodiment, live_samples(embodiment, 1.0, seed=1))
    source = EpisodeSource(written(tmp_path, embodiment, steps))
    events = list(source.events())
    for topic in source.topics.values():
        assert sum(event.topic == topic.name for event in events) == topic.count
    assert source.topics["/scene/image_raw"].type == "sensor_msgs/msg/Image"
    assert source.topics["/franka/joint_states"].type == "sensor_msgs/msg/JointState"
    assert source.topics["/gripper/command"].count < source.topics["/scene/image_raw"].count  # 10 Hz, each value once


def test_two_streams_of_one_topic_cannot_be_put_together_again(tmp_path: Path) -> None:
    merged = dataclasses.replace(FR3.streams["fingers"], topic="/franka/joint_states")
    embodiment = small(streams={**FR3.streams, "fingers": merged})
    path = written(tmp_path, embodiment, steps_of(embodiment, live_samples(embodiment, 0.5, seed=1)))
    with pytest.raises(PlaybackError, match="found 'joints' and 'fingers' on /franka/joint_states"):
        EpisodeSource(path)


def test_a_partial_episode_is_refused(tmp_path: Path) -> None:
    embodiment = small()
    writer = Hdf5EpisodeWriter(tmp_path, EpisodeMetadata("", "sim", embodiment))
    for step in steps_of(embodiment, live_samples(embodiment, 0.5, seed=1)):
        writer.append(step)
    with EpisodeReader(writer.finish("failure")) as episode:
        path = episode.path
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1_000)
    with pytest.raises(EpisodeError, match="expected a whole HDF5 file"):
        open_source(path)
