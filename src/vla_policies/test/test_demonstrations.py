"""Windows of episodes: which actions belong to an observation, where they end, and where images come from."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from vla_core.episodes import EpisodeMetadata, EpisodeReader, Hdf5EpisodeWriter
from vla_core.episodes.synthetic import synthetic_step
from vla_core.errors import EmbodimentMismatch, EpisodeError
from vla_policies.data import EpisodeDataset
from vla_policies.data.image_store import ImagesInMemory, MappedImages
from vla_policies.spec import ImageSize, PolicySpec
from vla_policies.training.augmentation import augment, shift_images
from vla_policies.training.config import Augmentation
from vla_policies.training.data import split_episodes, windows_for
from vla_policies.training.optimisation import ShuffledRows

GIB = 2.0**30
SIZES = {"scene": ImageSize(32, 24), "wrist": ImageSize(16, 12)}
SPEC = PolicySpec(SIZES, ("qpos",), action_horizon=6)


def demonstrations_of(paths: list[Path], limit: float = GIB) -> EpisodeDataset:
    return EpisodeDataset(paths, windows_for(SPEC), memory_limit_bytes=limit)


@pytest.fixture(scope="module")
def paths(tmp_path_factory, record_reaching) -> list[Path]:
    folder = tmp_path_factory.mktemp("episodes")
    return [record_reaching(folder, seed, steps) for seed, steps in enumerate((10, 4, 13))]


@pytest.fixture(scope="module")
def demonstrations(paths) -> EpisodeDataset:
    return demonstrations_of(paths)


def test_a_window_is_the_observation_with_the_actions_that_followed(demonstrations, paths) -> None:
    window = demonstrations.window(np.array([14 + 5]))  # step 5 of the third episode
    with EpisodeReader(paths[2]) as reader:
        np.testing.assert_array_equal(window.last_proprioception["qpos"][0], reader.qpos[5])
        np.testing.assert_array_equal(window.actions[0], reader.actions[5:11])
        np.testing.assert_array_equal(window.last_images["scene"][0], reader.image("scene", 5))
    assert not window.action_is_pad.any()


def test_past_the_end_is_padding_that_repeats_the_last_action(demonstrations, paths) -> None:
    actions, is_pad = demonstrations.following_actions(np.array([10 + 2]), 6)  # step 2 of 4 of the second episode
    assert is_pad[0].tolist() == [False, False, True, True, True, True]
    with EpisodeReader(paths[1]) as reader:
        np.testing.assert_array_equal(actions[0], reader.actions[[2, 3, 3, 3, 3, 3]])


def test_no_window_reaches_into_the_next_episode(demonstrations) -> None:
    _, is_pad = demonstrations.following_actions(np.arange(len(demonstrations)), 30)
    assert (~is_pad).sum(axis=1).tolist() == [*range(10, 0, -1), *range(4, 0, -1), *range(13, 0, -1)]


def test_a_dropped_step_does_not_shift_the_actions_in_time(tmp_path, record_reaching) -> None:
    whole = demonstrations_of([record_reaching(tmp_path / "whole", 0, 12)])
    gap = demonstrations_of([record_reaching(tmp_path / "gap", 0, 12, dropped=(5,))])
    assert len(gap) == 11
    expected, _ = whole.following_actions(np.array([3]), 6)
    found, _ = gap.following_actions(np.array([3]), 6)
    np.testing.assert_allclose(found[..., :7], expected[..., :7], atol=1e-12)  # the joints move evenly
    after, _ = gap.following_actions(np.array([5]), 6)  # the sixth step in time
    np.testing.assert_allclose(after, whole.following_actions(np.array([6]), 6)[0], atol=1e-12)


def test_images_from_memory_and_from_files_are_the_same(paths, demonstrations) -> None:
    rows = np.array([0, 9, 10, 26, 3, 3])
    from_memory, from_files = demonstrations.window(rows), demonstrations_of(paths, 0).window(rows)
    for role, size in SIZES.items():
        assert from_memory.last_images[role].shape == (6, size.height, size.width, 3)
        np.testing.assert_array_equal(from_memory.last_images[role], from_files.last_images[role])


def test_images_that_need_more_than_the_limit_stay_in_the_files(paths) -> None:
    needed = 27 * 3 * (32 * 24 + 16 * 12)
    for limit, kind in ((needed, ImagesInMemory), (needed - 1, MappedImages)):
        assert isinstance(demonstrations_of(paths, limit)._images, kind)


def test_episodes_of_another_robot_are_refused_by_name(paths, embodiment, tmp_path) -> None:
    slower = dataclasses.replace(embodiment, steps=dataclasses.replace(embodiment.steps, rate_hz=15.0))
    writer = Hdf5EpisodeWriter(tmp_path, EpisodeMetadata("", "mock", slower))
    writer.append(synthetic_step(slower, 0))
    with pytest.raises(EmbodimentMismatch, match=rf"episode {tmp_path}.*episode_0.hdf5 was made for"):
        demonstrations_of([*paths, writer.finish("success")])


def test_no_episodes_are_an_error() -> None:
    with pytest.raises(EpisodeError, match="expected at least one episode to train on, found none"):
        demonstrations_of([])


def test_every_row_comes_once_per_epoch_in_an_order_that_depends_on_seed_and_step_only() -> None:
    rows = ShuffledRows(np.arange(100, 130), batch_size=8, seed=1)
    steps = [rows.at(step) for step in range(15)]  # 120 rows: four epochs
    for epoch in range(4):
        drawn = np.concatenate(steps)[30 * epoch : 30 * (epoch + 1)]
        assert sorted(drawn) == list(range(100, 130))
    np.testing.assert_array_equal(ShuffledRows(np.arange(100, 130), 8, seed=1).at(11), steps[11])
    assert (ShuffledRows(np.arange(100, 130), 8, seed=2).at(0) != steps[0]).any()


@pytest.mark.parametrize(
    ("count", "share", "expected"), [(20, 0.1, 2), (5, 0.1, 1), (1, 0.1, 0), (20, 0.0, 0), (2, 0.9, 1)]
)
def test_episodes_are_either_trained_or_validated_on(count, share, expected) -> None:
    training, validation = split_episodes(count, share, seed=3)
    assert len(validation) == expected
    assert sorted(training + validation) == list(range(count))
    assert split_episodes(count, share, seed=3) == (training, validation)


def test_a_shift_moves_the_image_by_whole_pixels_and_repeats_its_edge() -> None:
    image = np.arange(48, dtype=np.uint8).reshape(1, 4, 4, 3).repeat(64, axis=0)
    shifted = shift_images(image, 1, np.random.default_rng(0))
    padded = np.pad(image[0], ((1, 1), (1, 1), (0, 0)), mode="edge")
    possible = {padded[down : down + 4, right : right + 4].tobytes() for down in range(3) for right in range(3)}
    assert {one.tobytes() for one in shifted} == possible


def test_augmentation_depends_on_the_seed_and_leaves_its_input_alone(checkpoint, embodiment) -> None:
    images = {role: np.full((4, 24, 32, 3), 128, np.uint8) for role in embodiment.cameras}
    inputs = checkpoint.pipeline().inputs(images, {"qpos": np.zeros((4, 8))}, "cpu")
    before = inputs.images[0].clone()
    settings = Augmentation(brightness=0.1, contrast=0.2, state_noise=0.1)
    first, again, other = (augment(inputs, settings, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert (inputs.images[0] == before).all()
    assert (first.images[0] == again.images[0]).all()
    assert (first.state == again.state).all()
    assert (first.images[0] != other.images[0]).any()
    assert (first.images[0].std(dim=(1, 2, 3)) > 0).all()
    assert len(np.unique(first.images[0][:, 0, 0, 0].numpy())) == 4  # each image its own change
