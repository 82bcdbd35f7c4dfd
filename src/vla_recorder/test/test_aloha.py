"""ALOHA's files by the rules of those who read them: ACT's loader, Interbotix's decompression, openpi's converter."""

from __future__ import annotations

from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest

from vla_core.episodes import EpisodeReader
from vla_recorder.formats.aloha import export_aloha, import_aloha
from vla_recorder.formats.conversion import FormatError
from vla_recorder.formats.opening import kind_of

CAMERAS = ("scene", "wrist")


def act_item(path: Path, start: int) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """What github.com/tonyzhaozh/act, utils.py, EpisodicDataset takes of a file for one start."""
    with h5py.File(path, "r") as root:
        shift = 0 if root.attrs["sim"] else 1
        images = {camera: root[f"/observations/images/{camera}"][start] for camera in CAMERAS}
        assert root["/observations/qvel"].shape[0] == len(root["/action"])
        return root["/observations/qpos"][start], root["/action"][max(0, start - shift) :], images


def decompressed(path: Path, camera: str, index: int) -> np.ndarray:
    """As Interbotix's and openpi's readers: a file of compress_len bytes, decoded by OpenCV, its colours turned."""
    with h5py.File(path, "r") as root:
        assert root.attrs["compress"]
        stored = root[f"/observations/images/{camera}"]
        assert (stored.ndim, stored.dtype) == (2, np.uint8)
        lengths = root["/compress_len"]
        assert lengths.shape == (len(CAMERAS), len(stored))
        data = stored[index]
        length = int(lengths[CAMERAS.index(camera), index])
        assert not data[length:].any()
        np.testing.assert_array_equal(cv2.imdecode(data, 1), cv2.imdecode(data[:length], 1))
        return cv2.cvtColor(cv2.imdecode(data, 1), cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize("images", ["raw", "lossless"])
def test_plain_export_is_what_act_reads(tmp_path: Path, small, embodied, images: str) -> None:
    source = small(tmp_path / "episodes", embodied(images))
    written = export_aloha([source], tmp_path / "aloha", jpeg=False).written[0]
    qpos, actions, pictures = act_item(written, 3)
    with EpisodeReader(source) as episode:
        np.testing.assert_array_equal(qpos, episode.qpos[3])
        np.testing.assert_array_equal(actions, episode.actions[3:])
        for camera in CAMERAS:
            np.testing.assert_array_equal(pictures[camera], episode.image(camera, 3))


def test_jpeg_export_is_what_the_readers_of_the_compressed_variant_decode(tmp_path: Path, small) -> None:
    source = small(tmp_path / "episodes")
    report = export_aloha([source], tmp_path / "aloha", jpeg=True, quality=95)
    with EpisodeReader(source) as episode:
        for camera in CAMERAS:
            for index in range(len(episode)):
                error = np.abs(
                    decompressed(report.written[0], camera, index).astype(int) - episode.image(camera, index)
                )
                assert error.mean() < 3
    assert report.notes == [f"left out: what JPEG loses of the images of '{role}'" for role in ("scene", "wrist")]


@pytest.mark.parametrize("images", ["raw", "jpeg", "lossless"])
def test_what_comes_back_is_the_same_episode(tmp_path: Path, small, embodied, images: str, same) -> None:
    """Whatever the images are kept as: to plain and back nothing is lost but what JPEG had lost before."""
    source = small(tmp_path / "episodes", embodied(images), policy_id="act")
    plain = export_aloha([source], tmp_path / "plain", jpeg=False).written[0]
    same(source, plain)
    with EpisodeReader(plain) as episode:
        assert episode.rollout is not None
        assert len(episode.rollout) == 1
        np.testing.assert_array_equal(episode.depth("far", 2)[0, :3], [2, 9, 16])
    if images == "jpeg":
        again = export_aloha([source], tmp_path / "again", jpeg=True).written[0]
        with EpisodeReader(source) as one, EpisodeReader(again) as two:
            assert bytes(one.encoded_image("wrist", 4).data) == bytes(two.encoded_image("wrist", 4).data)


def foreign(path: Path, jpeg: bool, sim: bool = True, bgr: bool = False, length: int = 6) -> dict[str, np.ndarray]:
    """An episode as record_episodes.py writes it: float32, no times, no names; JPEG of the array as it is. Returns its data."""
    random = np.random.default_rng(length)
    data = {name: random.normal(size=(length, 14)).astype(np.float32) for name in ("qpos", "qvel", "action")}
    rows, columns = np.mgrid[0:48, 0:64]
    image = np.stack([rows * 4, columns * 3, rows + columns], axis=-1).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as root:
        root.attrs["sim"] = sim
        root.attrs["compress"] = jpeg
        root["observations/qpos"], root["observations/qvel"], root["action"] = (
            data["qpos"],
            data["qvel"],
            data["action"],
        )
        for camera in ("cam_high", "cam_left_wrist"):
            if jpeg:
                files = [cv2.imencode(".jpg", image[:, :, ::-1] + np.uint8(k))[1] for k in range(length)]
                widest = max(len(file) for file in files) + 7
                padded = np.stack([np.pad(file, (0, widest - len(file))) for file in files])
                root.create_dataset(f"observations/images/{camera}", data=padded, chunks=(1, widest))
            else:
                stored = image[:, :, ::-1] if bgr else image
                images = np.stack([stored + np.uint8(k) for k in range(length)])
                root.create_dataset(f"observations/images/{camera}", data=images, chunks=(1, 48, 64, 3))
        if jpeg:
            root["compress_len"] = np.full((2, length), 1, np.float32)  # in an order that the file does not tell
    return data | {"image": image}


@pytest.mark.parametrize("jpeg", [False, True])
def test_a_foreign_episode_is_imported(tmp_path: Path, jpeg: bool) -> None:
    data = foreign(tmp_path / "aloha" / "episode_0.hdf5", jpeg)
    foreign(tmp_path / "aloha" / "episode_1.hdf5", jpeg, length=4)
    assert kind_of(tmp_path / "aloha") == "aloha"
    report = import_aloha(tmp_path / "aloha", tmp_path / "episodes", prompt="insert the peg")
    assert (report.episodes, report.steps) == (2, 10)
    with EpisodeReader(report.written[0]) as episode:
        embodiment = episode.info.metadata.embodiment
        np.testing.assert_array_equal(episode.qpos, data["qpos"])
        np.testing.assert_array_equal(episode.actions, data["action"])
        np.testing.assert_array_equal(episode.stamps_ns, np.arange(6) * 20_000_000)
        assert embodiment.action_names[0] == "left_waist"
        assert embodiment.action_names[13] == "right_gripper"
        assert embodiment.action_units[5:7] == ("rad", "1")
        assert episode.compression("cam_high") == ("jpeg" if jpeg else "raw")
        error = np.abs(episode.image("cam_high", 2).astype(int) - (data["image"] + np.uint8(2)))
        assert error.mean() < (4 if jpeg else 1e-9)
        assert episode.info.metadata.prompt == "insert the peg"
        assert episode.info.metadata.robot == "sim"


def test_jpeg_files_are_kept_byte_for_byte(tmp_path: Path) -> None:
    foreign(tmp_path / "episode_0.hdf5", jpeg=True)
    written = import_aloha(tmp_path / "episode_0.hdf5", tmp_path / "episodes").written[0]
    with h5py.File(tmp_path / "episode_0.hdf5") as file, EpisodeReader(written) as episode:
        stored = file["observations/images/cam_high"][3].tobytes()
        kept = bytes(episode.encoded_image("cam_high", 3).data)
        assert stored.startswith(kept)
        assert not stored[len(kept) :].strip(b"\0")


def test_colours_in_another_order_are_turned(tmp_path: Path) -> None:
    data = foreign(tmp_path / "episode_0.hdf5", jpeg=False, bgr=True)
    written = import_aloha(tmp_path / "episode_0.hdf5", tmp_path / "episodes", color_order="bgr").written[0]
    with EpisodeReader(written) as episode:
        np.testing.assert_array_equal(episode.image("cam_high", 0), data["image"])


def test_real_data_are_shifted_only_when_asked_for(tmp_path: Path) -> None:
    data = foreign(tmp_path / "episode_0.hdf5", jpeg=False, sim=False)
    kept = import_aloha(tmp_path / "episode_0.hdf5", tmp_path / "kept")
    shifted = import_aloha(tmp_path / "episode_0.hdf5", tmp_path / "shifted", act_shift=True)
    with EpisodeReader(kept.written[0]) as one, EpisodeReader(shifted.written[0]) as two:
        np.testing.assert_array_equal(one.actions, data["action"])
        np.testing.assert_array_equal(two.actions[1:], data["action"][:-1])
        np.testing.assert_array_equal(two.actions[0], data["action"][0])
        assert one.info.metadata.robot == "real"
    assert any("act-shift" in note for note in kept.notes)


def test_data_that_do_not_fit_are_refused_by_name(tmp_path: Path, embodied) -> None:
    foreign(tmp_path / "episode_0.hdf5", jpeg=False)
    with pytest.raises(FormatError, match="embodiment 'small': qpos: expected 3 elements, found 14 elements"):
        import_aloha(tmp_path / "episode_0.hdf5", tmp_path / "episodes", embodied())
    with h5py.File(tmp_path / "episode_1.hdf5", "w") as file:
        file["something"] = 1
    with pytest.raises(FormatError, match="expected an episode of ALOHA"):
        import_aloha(tmp_path / "episode_1.hdf5", tmp_path / "episodes")
    assert not list(tmp_path.glob("episodes/*"))
