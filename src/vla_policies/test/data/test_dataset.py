"""The data set: what its items hold, compared with what the reader of episodes says."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from vla_core.episodes import EpisodeReader
from vla_policies.data import EpisodeDataset, WindowSpec, image_store
from vla_policies.spec import ImageSize
from vla_policies.transforms import resize_image


@pytest.fixture(scope="module")
def mixed(tmp_path_factory, embodiment, kept_as, write) -> list[Path]:
    """An episode for each way in which images are kept."""
    folder = tmp_path_factory.mktemp("mixed")
    return [
        write(folder, kept_as(embodiment, images), steps, first=100 * steps)
        for images, steps in (("raw", 5), ("jpeg", 7), ("lossless", 4))
    ]


@pytest.mark.parametrize("limit", [0, 2**30])
def test_items_are_what_the_reader_says(mixed, limit) -> None:
    spec = WindowSpec(horizon=3, history=2, proprioception=("qvel", "qpos"))
    dataset = EpisodeDataset(mixed, spec, memory_limit_bytes=limit)
    assert len(dataset) == 5 + 7 + 4
    for episode, path in enumerate(mixed):
        with EpisodeReader(path) as reader:
            window = dataset.window(dataset.indices_of([episode]))
            assert window.episodes.tolist() == [episode] * len(reader)
            assert window.steps.tolist() == list(range(len(reader)))
            before = np.maximum(np.arange(len(reader)) - 1, 0)
            for role in reader.info.metadata.embodiment.cameras:
                np.testing.assert_array_equal(window.last_images[role], reader.images(role))
                np.testing.assert_array_equal(window.images[role][:, 0], reader.images(role)[before])
            for group in ("qvel", "qpos"):
                np.testing.assert_array_equal(window.last_proprioception[group], reader.proprioception(group))
            np.testing.assert_array_equal(window.actions[:, 0], reader.actions)
            assert window.observation_is_pad[:, 0].tolist() == [True] + [False] * (len(reader) - 1)
            assert not window.observation_is_pad[:, 1].any()
            assert window.action_is_pad.sum(axis=1).tolist() == [0] * (len(reader) - 2) + [1, 2]


def test_images_are_resized_as_for_a_policy(mixed) -> None:
    dataset = EpisodeDataset(mixed, WindowSpec(horizon=1, cameras={"wrist": ImageSize(16, 12)}))
    with EpisodeReader(mixed[1]) as reader:
        expected = resize_image(reader.image("wrist", 3), ImageSize(16, 12))
    window = dataset.window(np.array([dataset.index_of(1, 3)]))
    assert list(window.images) == ["wrist"]
    np.testing.assert_array_equal(window.images["wrist"][0, 0], expected)


def test_prompts_marks_and_drivers_come_from_the_file(tmp_path, embodiment, kept_as, write) -> None:
    marking = kept_as(embodiment, "raw", on_missing="mark")
    path = write(tmp_path, marking, 6, marked={2: "scene"}, drives={4, 5}, prompts={0: "pick", 3: "place"})
    kept = EpisodeDataset(path, WindowSpec(horizon=2, marked="kept")).window(np.arange(6))
    assert kept.prompts == ("pick",) * 3 + ("place",) * 3
    assert kept.valid[:, 0].tolist() == [True, True, False, True, True, True]
    assert kept.policy_drives.tolist() == [[False, False]] * 3 + [[False, True], [True, True], [True, False]]
    skipped = EpisodeDataset(path, WindowSpec(horizon=2, history=2))
    window = skipped.window(np.arange(len(skipped)))
    assert window.steps.tolist() == [0, 1, 3, 4, 5]
    assert window.observation_is_pad.tolist() == [[True, False], [False, False], [True, False], *[[False, False]] * 2]
    humans = EpisodeDataset(path, WindowSpec(horizon=2, drivers="human"))
    window = humans.window(np.arange(len(humans)))
    assert window.steps.tolist() == [0, 1, 3]
    assert window.action_is_pad.tolist() == [[False, False], [False, False], [False, True]]


def test_a_dropped_step_is_interpolated_or_ignored(tmp_path, embodiment, write) -> None:
    path = write(tmp_path, embodiment, 6, dropped={3})
    with EpisodeReader(path) as reader:
        rows = reader.actions
    in_time = EpisodeDataset(path, WindowSpec(horizon=3)).window(np.array([2])).actions[0]
    np.testing.assert_allclose(in_time, [rows[2], (rows[2] + rows[3]) / 2, rows[3]], rtol=1e-12)
    by_row = EpisodeDataset(path, WindowSpec(horizon=3, gaps="ignored")).window(np.array([2])).actions[0]
    np.testing.assert_array_equal(by_row, rows[2:5])


def test_an_item_is_tensors_without_a_batch(mixed) -> None:
    dataset = EpisodeDataset(mixed, WindowSpec(horizon=3, history=2))
    item = dataset[4]
    window = dataset.window(np.array([4]))
    assert item["images"]["scene"].dtype == torch.uint8
    assert item["actions"].dtype == torch.float32
    assert item["action_is_pad"].tolist() == [False, True, True]
    assert item["prompts"] == "pick"
    np.testing.assert_array_equal(item["images"]["scene"].numpy(), window.images["scene"][0])
    samples = dataset.__getitems__([1, 4, 2])
    assert [int(sample["steps"]) for sample in samples] == [1, 4, 2]
    assert [int(sample["steps"]) for sample in samples[1:]] == [4, 2]


def test_few_files_stay_mapped(mixed, monkeypatch) -> None:
    monkeypatch.setattr(image_store, "_OPEN_FILES", 1)
    dataset = EpisodeDataset(mixed, WindowSpec(horizon=1))
    before = len(os.listdir("/proc/self/fd"))
    everything = np.random.default_rng(0).permutation(len(dataset))
    shuffled = dataset.window(everything)
    assert len(os.listdir("/proc/self/fd")) <= before + 1
    in_order = dataset.window(np.arange(len(dataset)))
    np.testing.assert_array_equal(shuffled.images["scene"], in_order.images["scene"][everything])


def test_a_pickled_data_set_gives_the_same(mixed) -> None:
    dataset = EpisodeDataset(mixed, WindowSpec(horizon=2))
    first = dataset.window(np.arange(16))
    data = pickle.dumps(dataset)
    assert len(data) < 100_000  # no file goes with it
    again = pickle.loads(data).window(np.arange(16))
    np.testing.assert_array_equal(first.images["wrist"], again.images["wrist"])
    np.testing.assert_array_equal(first.actions, again.actions)
