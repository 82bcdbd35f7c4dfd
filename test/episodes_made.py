"""Small episodes with everything that one can hold, for the tests of formats and pages."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from vla_core.action_chunk import ActionChunk
from vla_core.embodiment import Embodiment
from vla_core.embodiment.loading import embodiment_from_mapping
from vla_core.episodes import EpisodeMetadata, EpisodeReader, Hdf5EpisodeWriter, RecordingSummary, StreamSummary
from vla_core.episodes.beside import NativeSamples, Rollout, RolloutChunk
from vla_core.observation import Sample, Step

START_NS = 1_795_000_000_123_456_789
PERIOD_NS = 100_000_000
HEIGHT, WIDTH = 24, 32
SMALL_EMBODIMENT = Path(__file__).parent / "data" / "small_embodiment.yaml"


def small_embodiment(images: str = "raw", depth: bool = True, **changes: Any) -> Embodiment:
    """Two joints and a gripper, two cameras, perhaps a depth camera, and a force sensor that is recorded beside."""
    declared = yaml.safe_load(SMALL_EMBODIMENT.read_text())
    for camera in declared["cameras"].values():
        camera["images"] = images
    if not depth:
        del declared["depth_cameras"]
    return embodiment_from_mapping(declared | changes, "small")


def picture(index: int, seed: int = 0) -> np.ndarray:
    """An image that only the step of this index shows: smooth, as a camera's are, so that codecs lose little."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    red, green, blue = rows * 5 + index, columns * 4 + 60 * seed, (rows + columns) * 2 + 3 * index
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)


def small_step(embodiment: Embodiment, index: int) -> Step:
    """A step whose numbers nobody could have guessed; the wrist camera is too old in every fourth."""
    stamp_ns = START_NS + index * PERIOD_NS + (index % 3)
    random = np.random.default_rng(index)
    old = index % 4 == 3
    samples = {
        "scene": Sample(stamp_ns, stamp_ns, picture(index)),
        "wrist": Sample(stamp_ns - (90_000_000 if old else 7_000_000), stamp_ns, picture(index, 1)),
        "state": Sample(stamp_ns - 1_000_001, stamp_ns, random.normal(size=4)),
        "command": Sample(stamp_ns - 2_000_001, stamp_ns, random.normal(size=2) / 3),
        "grip": Sample(stamp_ns - 40_000_001, stamp_ns, random.uniform(0, 0.04, 1)),
        "force": Sample(stamp_ns - 3_000_001, stamp_ns, random.normal(size=3) * 10),
    }
    for role in embodiment.depth_cameras:
        depths = (np.arange(HEIGHT * WIDTH) * 7 + index).astype(np.uint16).reshape(HEIGHT, WIDTH)
        samples[role] = Sample(stamp_ns, stamp_ns, depths)
    return Step(stamp_ns, samples, frozenset({"wrist"} if old else ()), policy_drives=index % 5 == 2)


def write_small(
    folder: Path,
    embodiment: Embodiment | None = None,
    steps: int = 10,
    prompts: tuple[str, ...] = ("pick up the ball", "put it down"),
    outcome: str = "success",
    policy_id: str = "",
) -> Path:
    """An episode; its prompt changes half-way if there are two."""
    embodiment = embodiment or small_embodiment()
    writer = Hdf5EpisodeWriter(
        folder, EpisodeMetadata(prompts[0], "sim", embodiment, "ball", 7, policy_id), "tests 1.0"
    )
    for index in range(steps):
        writer.append(small_step(embodiment, index), prompts[-1] if index >= steps // 2 else prompts[0])
    times = START_NS + np.arange(4 * steps) * (PERIOD_NS // 4)
    writer.beside(NativeSamples("force", times, times + 5, np.random.default_rng(1).normal(size=(len(times), 3))))
    if policy_id:
        actions = np.random.default_rng(2).normal(size=(5, 3))
        chunk = ActionChunk(actions, embodiment.action_names, START_NS, PERIOD_NS, START_NS, policy_id, 1, 12_000_000)
        writer.beside(RolloutChunk(chunk, START_NS + 1, "receding_horizon", False))
    streams = {name: StreamSummary(100, float(source.rate_hz)) for name, source in embodiment.sources.items()}
    return writer.finish(outcome, RecordingSummary(3, streams))


def assert_same(first: Path, second: Path, images: str = "exact", beside: bool = True) -> None:
    """Fails where two episodes differ in a row, in their images, or in what they say about themselves."""
    with EpisodeReader(first) as one, EpisodeReader(second) as two:
        assert len(one) == len(two)
        known, found = one.info, two.info
        assert (known.outcome, known.created, known.recorder, known.summary) == (
            found.outcome,
            found.created,
            found.recorder,
            found.summary,
        )
        for field in ("prompt", "robot", "task", "seed", "policy_id"):
            assert getattr(known.metadata, field) == getattr(found.metadata, field)
        assert one.prompts == two.prompts
        np.testing.assert_array_equal(one.stamps_ns, two.stamps_ns)
        np.testing.assert_array_equal(one.markers, two.markers)
        np.testing.assert_array_equal(one.policy_drives, two.policy_drives)
        np.testing.assert_array_equal(one.actions, two.actions)
        embodiment = known.metadata.embodiment
        for group in embodiment.proprioception:
            np.testing.assert_array_equal(one.proprioception(group), two.proprioception(group))
        for name in found.metadata.embodiment.sources:
            np.testing.assert_array_equal(one.stream_stamps_ns(name), two.stream_stamps_ns(name))
            np.testing.assert_array_equal(one.stream_ages_ns(name), two.stream_ages_ns(name))
            np.testing.assert_array_equal(one.valid(name), two.valid(name))
        np.testing.assert_array_equal(one.stream_values("force"), two.stream_values("force"))
        if beside:
            np.testing.assert_array_equal(one.native("force").values, two.native("force").values)
            np.testing.assert_array_equal(one.native("force").stamps_ns, two.native("force").stamps_ns)
            assert_same_rollout(one.rollout, two.rollout)
            for role in embodiment.depth_cameras:
                for index in range(len(one)):
                    np.testing.assert_array_equal(one.depth(role, index), two.depth(role, index))
        for role in embodiment.cameras:
            errors = np.abs(one.images(role).astype(int) - two.images(role))
            if images == "exact":
                assert errors.max() == 0
            else:
                assert errors.mean() < 3


def assert_same_rollout(one: Rollout | None, two: Rollout | None) -> None:
    """Fails where two episodes' chunks of a policy differ."""
    assert (one is None) == (two is None)
    if one is not None and two is not None:
        for field in dataclasses.fields(Rollout):
            np.testing.assert_array_equal(getattr(one, field.name), getattr(two, field.name))
