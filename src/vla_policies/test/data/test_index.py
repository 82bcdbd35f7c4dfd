"""The index: kept beside the episodes as long as they are what they were; and what it says about episodes that do not do."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from vla_core.episodes import EpisodeReader
from vla_core.errors import EmbodimentMismatch, EpisodeError
from vla_policies.data import EpisodeDataset, WindowSpec, image_store, index
from vla_policies.errors import WindowError
from vla_policies.spec import ImageSize

SPEC = WindowSpec(horizon=2)


@pytest.fixture
def folder(tmp_path, embodiment, kept_as, write) -> Path:
    for number, images in enumerate(("raw", "jpeg", "lossless")):
        marking = kept_as(embodiment, images, on_missing="mark")
        write(tmp_path, marking, 3 + number, first=20 * number, marked={1: "wrist"}, prompts={2: "then place"})
    return tmp_path


@pytest.fixture
def indexed(monkeypatch) -> list[str]:
    """The names of the files that are read, as they are."""
    read, names = index.index_episode, []

    def noted(path):
        names.append(path.name)
        return read(path)

    monkeypatch.setattr(index, "index_episode", noted)
    return names


def everything(dataset: EpisodeDataset) -> dict:
    window = dataset.window(np.arange(len(dataset)))
    return {**{f"image {k}": v for k, v in window.images.items()}, **window.proprioception, "actions": window.actions,
            "pad": window.action_is_pad, "valid": window.valid, "prompts": np.array(window.prompts)}  # fmt: skip


def require_same(a: dict, b: dict) -> None:
    for name, values in a.items():
        np.testing.assert_array_equal(values, b[name], err_msg=name)


def test_the_kept_index_says_the_same(folder, indexed) -> None:
    direct = everything(EpisodeDataset(folder, SPEC))
    assert not (folder / index.INDEX_FILE).exists()
    made = everything(EpisodeDataset(folder, SPEC, cache=True))
    assert len(indexed) == 6
    kept = EpisodeDataset(folder, WindowSpec(horizon=2, marked="kept"), cache=True)
    used = everything(EpisodeDataset(folder, SPEC, cache=True))
    assert len(indexed) == 6  # none more
    require_same(direct, made)
    require_same(direct, used)
    assert len(kept) == 3 + 4 + 5
    assert kept.embodiment is not None
    assert kept.paths[0] == folder / "episode_0.hdf5"


def test_only_what_changed_is_read_again(folder, indexed, embodiment, kept_as, write, tmp_path_factory) -> None:
    EpisodeDataset(folder, SPEC, cache=True)
    other = write(tmp_path_factory.mktemp("other"), kept_as(embodiment, "raw"), 6, first=900)
    os.replace(other, folder / "episode_1.hdf5")
    indexed.clear()
    dataset = EpisodeDataset(folder, SPEC, cache=True)
    assert indexed == ["episode_1.hdf5"]
    with EpisodeReader(folder / "episode_1.hdf5") as reader:
        window = dataset.window(dataset.indices_of([1]))
        np.testing.assert_array_equal(window.last_images["scene"], reader.images("scene"))
        np.testing.assert_array_equal(window.actions[:, 0], reader.actions)
    indexed.clear()
    EpisodeDataset(folder, SPEC, cache=True)
    assert indexed == []


def test_a_touched_file_is_read_again(folder, indexed) -> None:
    EpisodeDataset(folder, SPEC, cache=True)
    indexed.clear()
    os.utime(folder / "episode_2.hdf5", ns=(0, 1))
    EpisodeDataset(folder, SPEC, cache=True)
    assert indexed == ["episode_2.hdf5"]


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: b"x" + data, lambda data: b"", lambda d: d[:30]]
)
def test_a_damaged_index_is_made_anew(folder, indexed, damage) -> None:
    first = everything(EpisodeDataset(folder, SPEC, cache=True))
    kept = folder / index.INDEX_FILE
    whole = kept.read_bytes()
    kept.write_bytes(damage(whole))
    indexed.clear()
    require_same(first, everything(EpisodeDataset(folder, SPEC, cache=True)))
    assert len(indexed) == 3
    assert len(kept.read_bytes()) == len(whole)


def test_an_index_that_cannot_be_kept_is_no_error(folder, caplog) -> None:
    dataset = EpisodeDataset(folder, SPEC, cache=folder / "nowhere" / "index")
    assert len(dataset) == 3 - 1 + 4 - 1 + 5 - 1
    assert "cannot be written" in caplog.text


def test_a_file_that_changed_since_is_refused(folder) -> None:
    dataset = EpisodeDataset(folder, SPEC)
    shutil.copy(folder / "episode_2.hdf5", folder / "episode_0.hdf5")
    with pytest.raises(EpisodeError, match=r"episode_0.hdf5: expected the file that was indexed"):
        dataset.window(np.array([0]))


# ---------------------------------------------------------------- episodes and wishes that do not do


def test_no_episodes(tmp_path) -> None:
    with pytest.raises(EpisodeError, match=rf"expected at least one episode to train on, found none in {tmp_path}"):
        EpisodeDataset(tmp_path, SPEC)
    with pytest.raises(EpisodeError, match="expected a folder of episodes"):
        EpisodeDataset(tmp_path / "nowhere", SPEC)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"horizon": 0}, "horizon: expected at least 1, found 0"),
        ({"horizon": 1, "history": 0}, "history: expected at least 1, found 0"),
        ({"horizon": 1, "padding": "none"}, "padding: expected 'repeat' or 'zeros', found 'none'"),
        ({"horizon": 1, "drivers": "robot"}, "drivers: expected 'all', 'human' or 'policy', found 'robot'"),
    ],
)
def test_impossible_windows(wrong, message) -> None:
    with pytest.raises(WindowError, match=message):
        WindowSpec(**wrong)


def test_what_the_episodes_lack(folder) -> None:
    with pytest.raises(WindowError, match="cameras: expected 'scene' or 'wrist', found 'top'"):
        EpisodeDataset(folder, WindowSpec(horizon=1, cameras=("top",)))
    with pytest.raises(WindowError, match=r"proprioception: expected .* found 'torque'"):
        EpisodeDataset(folder, WindowSpec(horizon=1, proprioception=("torque",)))
    with pytest.raises(WindowError, match="expected a step at which a window may begin, found 1"):
        EpisodeDataset(folder, SPEC).index_of(0, 1)  # marked


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_file(folder, share) -> None:
    path = folder / "episode_1.hdf5"
    os.truncate(path, int(path.stat().st_size * share))
    with pytest.raises(EpisodeError, match=r"episode_1.hdf5: expected a whole HDF5 file"):
        EpisodeDataset(folder, SPEC)


def test_another_kind_of_file(tmp_path) -> None:
    with h5py.File(tmp_path / "episode_0.hdf5", "w") as file:
        file["data/demo_0/actions"] = np.zeros((3, 2))
    with pytest.raises(EpisodeError, match=r"expected an episode .*found \[\"data\"\]"):
        EpisodeDataset(tmp_path, SPEC)


def test_robots_that_do_not_fit(folder, embodiment, write) -> None:
    cameras = {"scene": embodiment.cameras["scene"]}
    path = write(folder, dataclasses.replace(embodiment, cameras=cameras), 3)
    with pytest.raises(EmbodimentMismatch, match=rf"(?s)episode {path} was made for.*cameras"):
        EpisodeDataset(folder, SPEC)


def test_plain_files_that_do_not_fit(tmp_path, write_plain, folder) -> None:
    first = write_plain(tmp_path / "plain" / "a.hdf5", 3)
    for name, different in (("cameras", {"cameras": ("top",)}), ("sizes of vectors", {"joints": 7})):
        other = write_plain(tmp_path / "plain" / f"{name}.hdf5", 3, **different)
        with pytest.raises(EmbodimentMismatch, match=rf"episode {other}: {name}: expected"):
            EpisodeDataset([first, other], SPEC)
    with pytest.raises(EmbodimentMismatch, match="cameras: expected"):
        EpisodeDataset([first, folder / "episode_0.hdf5"], SPEC)


def test_images_of_several_sizes_need_one_to_be_chosen(tmp_path, write_plain) -> None:
    paths = [write_plain(tmp_path / f"{h}.hdf5", 3, size=(h, 16)) for h in (12, 8)]
    with pytest.raises(EmbodimentMismatch, match=r"8.hdf5: camera 'top': expected 16x12 as .*12.hdf5, found 16x8"):
        EpisodeDataset(paths, SPEC)
    chosen = EpisodeDataset(paths, WindowSpec(horizon=1, cameras={"top": ImageSize(8, 6)}))
    assert chosen.window(np.arange(6)).images["top"].shape == (6, 1, 6, 8, 3)


def test_images_that_only_hdf5_can_find(tmp_path, write_plain) -> None:
    for number, options in enumerate(({"chunks": (2, 12, 16, 3)}, {"compression": "lzf"}, {"fletcher32": True})):
        path = write_plain(tmp_path / f"{number}.hdf5", 4, **options)
        with pytest.raises(EpisodeError, match=r"images/top: expected one image in each chunk, .*episodes convert"):
            EpisodeDataset(path, SPEC)


def test_numbers_that_are_not_finite(tmp_path, write_plain) -> None:
    path = write_plain(tmp_path / "episode_0.hdf5", 4)
    with h5py.File(path, "r+") as file:
        file["action"][2, 1] = np.nan
    with pytest.raises(EpisodeError, match=r"(?s)action: expected finite numbers, found .*nan.* at step 2"):
        EpisodeDataset(path, SPEC)


def test_an_image_that_cannot_be_decoded_is_named(tmp_path, write_plain) -> None:
    path = write_plain(tmp_path / "episode_0.hdf5", 4, layout="jpeg")
    with h5py.File(path, "r+") as file:
        file["observations/images/wrist"][2] = 0
    with pytest.raises(EpisodeError, match=r"episode_0.hdf5: camera 'wrist', step 2: .*expected JPEG or PNG data"):
        EpisodeDataset(path, SPEC).window(np.arange(4))


def test_acts_alignment_needs_sim(tmp_path, write_plain) -> None:
    path = write_plain(tmp_path / "episode_0.hdf5", 4, sim=None)
    assert len(EpisodeDataset(path, SPEC)) == 4
    with pytest.raises(EpisodeError, match="expected the attribute 'sim'"):
        EpisodeDataset(path, WindowSpec(horizon=1, alignment="act"))


def test_indexing_maps_no_file(folder, monkeypatch) -> None:
    monkeypatch.setattr(image_store, "_map_file", lambda *_: pytest.fail("a file was mapped"))
    EpisodeDataset(folder, SPEC)
