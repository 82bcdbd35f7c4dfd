"""robomimic's files by its own rules: get_dataset_info.py and SequenceDataset, done here in plain h5py."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from vla_core.episodes import EpisodeReader
from vla_recorder.formats.conversion import FormatError
from vla_recorder.formats.robomimic import export_robomimic, import_robomimic


@pytest.fixture
def episodes(tmp_path: Path, small) -> list[Path]:
    return [
        small(tmp_path / "episodes", steps=10, policy_id="act"),
        small(tmp_path / "episodes", steps=6, outcome="failure", prompts=("put it down",)),
        small(tmp_path / "episodes", steps=8),
    ]


@pytest.fixture
def file(tmp_path: Path, episodes: list[Path]) -> Path:
    export_robomimic(episodes, tmp_path / "data.hdf5")
    return tmp_path / "data.hdf5"


def test_the_script_for_dataset_info_accepts_it(file: Path) -> None:
    with h5py.File(file, "r", swmr=True, libver="latest") as f:  # as SequenceDataset opens it
        demos = sorted(f["data"], key=lambda name: int(name[5:]))
        assert demos == ["demo_0", "demo_1", "demo_2"]
        for demo in demos:
            actions = f[f"data/{demo}/actions"][()]
            assert actions.min() >= -1.0
            assert actions.max() <= 1.0
            assert f[f"data/{demo}"].attrs["num_samples"] == len(actions)
        lengths = [f[f"data/{demo}"].attrs["num_samples"] for demo in demos]
        assert f["data"].attrs["total"] == sum(lengths) == 12 + 8 + 10
        env = json.loads(f["data"].attrs["env_args"])
        assert {"env_name", "type", "env_kwargs"} <= set(env)
        masks = {key: [name.decode() for name in f[f"mask/{key}"][()]] for key in f["mask"]}
    assert masks["success"] == ["demo_0", "demo_2"]
    assert masks["failure"] == ["demo_1"]
    assert sorted(masks["train"] + masks["valid"]) == demos
    assert len(masks["valid"]) == 1


def test_a_sequence_is_what_was_recorded(file: Path, episodes: list[Path]) -> None:
    with h5py.File(file, "r") as f, EpisodeReader(episodes[0]) as episode:
        demo = f["data/demo_0"]
        kept = {"qpos": episode.qpos, "qvel": episode.proprioception("qvel"), "scene_image": episode.images("scene")}
        for key, values in kept.items():
            np.testing.assert_array_equal(demo[f"obs/{key}"][()], values)
            following = np.concatenate([values[1:], values[-1:]])
            np.testing.assert_array_equal(demo[f"next_obs/{key}"][()], following)
        assert demo["obs/scene_image"].dtype == np.uint8
        assert demo["obs/far_depth"].shape == (12, 24, 32, 1)
        assert demo["states"].shape == (12, 0)
        assert demo["dones"][()].tolist() == [0] * 11 + [1]
        assert demo["rewards"][-1] == 1.0
        assert f["data/demo_1/rewards"][()].sum() == 0.0


def test_next_observations_take_no_space(file: Path) -> None:
    with h5py.File(file, "r") as f:
        places = [f"data/{demo}/obs/{role}_image" for demo in f["data"] for role in ("scene", "wrist")]
        assert min(f[place].id.get_storage_size() for place in places) > 0
        following = [f[f"data/{demo}/next_obs/{key}"] for demo in f["data"] for key in f[f"data/{demo}/obs"]]
        assert all(view.is_virtual and view.id.get_storage_size() == 0 for view in following)


def test_the_scale_brings_the_actions_back(file: Path, episodes: list[Path]) -> None:
    with h5py.File(file, "r") as f:
        scale, offset = f["data"].attrs["action_scale"], f["data"].attrs["action_offset"]
        for number, path in enumerate(episodes):
            with EpisodeReader(path) as episode:
                actions = f[f"data/demo_{number}/actions"][()] * scale + offset
                np.testing.assert_allclose(
                    actions, episode.actions, rtol=0, atol=4e-16 * np.abs(episode.actions).max() + 1e-16
                )


def test_what_comes_back_are_the_same_episodes(tmp_path: Path, file: Path, episodes: list[Path], same) -> None:
    report = import_robomimic(file, tmp_path / "back")
    for first, second in zip(episodes, report.written, strict=True):
        same(first, second)
        with EpisodeReader(first) as one, EpisodeReader(second) as two:
            np.testing.assert_array_equal(one.depth("far", 3), two.depth("far", 3))


def test_images_that_were_jpeg_come_back_as_the_same_pixels(tmp_path: Path, small, embodied) -> None:
    source = small(tmp_path / "jpeg", embodied("jpeg"))
    report = export_robomimic([source], tmp_path / "jpeg.hdf5")
    assert report.notes == ["left out: how images were encoded; they stand there as pixels"]
    back = import_robomimic(tmp_path / "jpeg.hdf5", tmp_path / "back").written[0]
    with EpisodeReader(source) as one, EpisodeReader(back) as two:
        np.testing.assert_array_equal(one.images("wrist"), two.images("wrist"))


def test_what_cannot_be_scaled_or_is_of_others_is_refused(tmp_path: Path, small, embodied, file: Path) -> None:
    with h5py.File(file, "a") as f:
        del f["data/demo_0/vla"]
    with pytest.raises(FormatError, match="expected a demonstration exported by vla"):
        import_robomimic(file, tmp_path / "back")
    with pytest.raises(FormatError, match="found a file; choose another name or remove it"):
        export_robomimic([small(tmp_path / "more")], file)
