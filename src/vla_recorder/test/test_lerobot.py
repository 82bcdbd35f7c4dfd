"""LeRobotDataset 3.0 by LeRobot's own rules: what its loader does with the files, done here with pyarrow and PyAV."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest

from vla_core.episodes import EpisodeReader
from vla_recorder.formats.conversion import FormatError
from vla_recorder.formats.lerobot import LeRobotDataset, export_lerobot, import_lerobot
from vla_recorder.formats.lerobot.stats import ImageStats
from vla_recorder.formats.validate import deviations

LOADER_COLUMNS = ["timestamp", "frame_index", "episode_index", "index", "task_index"]


@pytest.fixture
def episodes(tmp_path: Path, small, embodied) -> list[Path]:
    embodiment = embodied(depth=False)
    return [
        small(tmp_path / "episodes", embodiment, 10),
        small(tmp_path / "episodes", embodiment, 7, ("pick up the ball",), "failure"),
    ]


@pytest.fixture
def dataset(tmp_path: Path, episodes: list[Path]) -> Path:
    export_lerobot(episodes, tmp_path / "dataset")
    return tmp_path / "dataset"


def test_info_describes_the_features(dataset: Path) -> None:
    info = json.loads((dataset / "meta/info.json").read_text())
    assert (info["codebase_version"], info["fps"]) == ("v3.0", 10)
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (2, 12 + 9, 2)
    assert info["splits"] == {"train": "0:2"}
    assert info["features"]["observation.state"] == {
        "dtype": "float32",
        "shape": [3],
        "names": ["left", "right", "gripper"],
    }
    assert info["features"]["action"]["names"] == ["left", "right", "gripper"]
    video = info["features"]["observation.images.scene"]
    assert (video["dtype"], video["shape"], video["names"]) == ("video", [24, 32, 3], ["height", "width", "channels"])
    assert (video["info"]["video.fps"], video["info"]["video.height"], video["info"]["is_depth_map"]) == (10, 24, False)
    assert not any("/" in name for name in info["features"])
    assert list(info["features"])[-5:] == LOADER_COLUMNS


def test_the_tables_are_what_the_loader_expects(dataset: Path, episodes: list[Path]) -> None:
    info = json.loads((dataset / "meta/info.json").read_text())
    table = pq.read_table(dataset / info["data_path"].format(chunk_index=0, file_index=0))
    stored = [name for name, feature in info["features"].items() if feature["dtype"] != "video"]
    assert table.column_names == stored
    assert pq.ParquetFile(dataset / "data/chunk-000/file-000.parquet").num_row_groups == 2
    state_type = table.schema.field("observation.state").type
    assert (state_type.list_size, str(state_type.value_type)) == (3, "float")
    assert table["index"].to_pylist() == list(range(21))
    assert table["episode_index"].to_pylist() == [0] * 12 + [1] * 9
    np.testing.assert_array_equal(table["timestamp"].to_numpy()[:12], (np.arange(12) / 10).astype(np.float32))
    with EpisodeReader(episodes[0]) as episode:
        state = np.stack(table["observation.state"].to_pylist()[:12])
        np.testing.assert_array_equal(state.astype(np.float32), episode.qpos.astype(np.float32))
        exact = np.stack(table["vla.action"].to_pylist()[:12])
        np.testing.assert_array_equal(exact, episode.actions)


def test_tasks_are_looked_up_by_pandas_index(dataset: Path) -> None:
    table = pq.read_table(dataset / "meta/tasks.parquet")
    metadata = json.loads(table.schema.metadata[b"pandas"])
    assert metadata["index_columns"] == ["task"]
    assert table.to_pydict() == {"task_index": [0, 1], "task": ["pick up the ball", "put it down"]}
    data = pq.read_table(dataset / "data/chunk-000/file-000.parquet")
    assert data["task_index"].to_pylist() == [0] * 5 + [1] * 7 + [0] * 9


def test_the_table_of_episodes_leads_to_rows_and_frames(dataset: Path, episodes: list[Path]) -> None:
    """dataset_reader.get_item: the frame of a row is at from_timestamp + timestamp in the video, within 0.1 ms."""
    info = json.loads((dataset / "meta/info.json").read_text())
    known = pq.read_table(dataset / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    data = pq.read_table(dataset / "data/chunk-000/file-000.parquet")
    assert [(e["dataset_from_index"], e["dataset_to_index"], e["length"]) for e in known] == [(0, 12, 12), (12, 21, 9)]
    assert known[0]["tasks"] == ["pick up the ball", "put it down"]
    for role in ("scene", "wrist"):
        key = f"observation.images.{role}"
        path = dataset / info["video_path"].format(video_key=key, chunk_index=0, file_index=0)
        with av.open(str(path)) as video:
            stream = video.streams.video[0]
            frames = {float(f.pts * stream.time_base): f.to_ndarray(format="rgb24") for f in video.decode(stream)}
        times = np.array(list(frames))
        for entry, source in zip(known, episodes, strict=True):
            with EpisodeReader(source) as episode:
                for row in range(entry["dataset_from_index"], entry["dataset_to_index"]):
                    wanted = entry[f"videos/{key}/from_timestamp"] + data["timestamp"][row].as_py()
                    nearest = times[np.abs(times - wanted).argmin()]
                    assert abs(nearest - wanted) < 1e-4
                    recorded = episode.image(role, row - entry["dataset_from_index"])
                    assert np.abs(frames[nearest].astype(int) - recorded).mean() < 3


def test_statistics_have_lerobots_shapes_and_values(dataset: Path, episodes: list[Path]) -> None:
    stats = json.loads((dataset / "meta/stats.json").read_text())
    actions, images = [], []
    for path in episodes:
        with EpisodeReader(path) as episode:
            actions.append(episode.actions)
            images.append(episode.images("scene"))
    together = np.concatenate(actions).astype(np.float32).astype(float)
    np.testing.assert_allclose(stats["action"]["mean"], together.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(stats["action"]["std"], together.std(axis=0), atol=1e-6)
    np.testing.assert_allclose(stats["action"]["min"], together.min(axis=0), atol=1e-6)
    assert stats["action"]["count"] == [21]
    for name, share in (("q01", 0.01), ("q50", 0.5), ("q99", 0.99)):  # of all frames, not the mean of the episodes'
        np.testing.assert_allclose(stats["action"][name], np.quantile(together, share, axis=0), atol=1e-6)
    pixels = np.concatenate(images).reshape(-1, 3) / 255
    scene = {name: np.array(value) for name, value in stats["observation.images.scene"].items()}
    assert scene["mean"].shape == scene["q99"].shape == (3, 1, 1)
    np.testing.assert_allclose(scene["mean"].ravel(), pixels.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(scene["std"].ravel(), pixels.std(axis=0), atol=1e-9)
    np.testing.assert_allclose(scene["max"].ravel(), pixels.max(axis=0), atol=1e-12)
    np.testing.assert_allclose(scene["q10"].ravel(), np.quantile(pixels, 0.1, axis=0), atol=1 / 255)


def test_large_images_are_thinned_out_and_only_some_are_looked_at() -> None:
    stats = ImageStats(1000)
    for index in range(1000):
        stats.add(index, np.full((300, 400, 3), index % 256, np.uint8))
    assert stats.result()["count"] == [177]  # 1000 ** 0.75


@pytest.mark.parametrize(("pictures", "images"), [("high", "nearly"), ("lossless", "exact"), ("images", "exact")])
def test_a_data_set_becomes_the_episodes_that_it_was(
    tmp_path: Path, episodes: list[Path], pictures, images, same
) -> None:
    report = export_lerobot(episodes, tmp_path / "dataset", pictures)
    assert report.steps == 21
    back = import_lerobot(tmp_path / "dataset", tmp_path / "back")
    for first, second in zip(episodes, back.written, strict=True):
        same(first, second, images, beside=False)
    assert report.notes == ["left out: 'force' at its own rate"]


def test_jpeg_files_stay_what_they_are(tmp_path: Path, small, embodied) -> None:
    path = small(tmp_path / "episodes", embodied("jpeg", depth=False))
    export_lerobot([path], tmp_path / "dataset", "images")
    back = import_lerobot(tmp_path / "dataset", tmp_path / "back").written[0]
    with EpisodeReader(path) as one, EpisodeReader(back) as two:
        for index in range(len(one)):
            assert bytes(one.encoded_image("scene", index).data) == bytes(two.encoded_image("scene", index).data)


def test_a_foreign_data_set_gets_an_embodiment_from_its_features(tmp_path: Path, episodes: list[Path]) -> None:
    export_lerobot(episodes, tmp_path / "dataset", plain=True)
    report = import_lerobot(tmp_path / "dataset", tmp_path / "back", robot="sim")
    with EpisodeReader(report.written[0]) as back, EpisodeReader(episodes[0]) as episode:
        embodiment = back.info.metadata.embodiment
        assert embodiment.action_names == ("left", "right", "gripper")
        assert embodiment.action_units == ("rad", "rad", "1")
        assert embodiment.steps.rate_hz == 10
        np.testing.assert_array_equal(back.actions, episode.actions.astype(np.float32))
        np.testing.assert_array_equal(back.stamps_ns, np.arange(12) * 100_000_000)
        assert back.prompts == episode.prompts
    assert any("real times" in note for note in report.notes)


def test_version_2_1_is_read(tmp_path: Path, dataset: Path, episodes: list[Path]) -> None:
    """The same data in the older layout: a file for each episode, JSON lines for what is known about them."""
    old = _as_version_2_1(dataset, tmp_path / "old")
    report = import_lerobot(old, tmp_path / "back")
    assert LeRobotDataset(old).version == "v2.1"
    for source, written in zip(episodes, report.written, strict=True):
        with EpisodeReader(source) as episode, EpisodeReader(written) as back:
            np.testing.assert_array_equal(back.qpos, episode.qpos.astype(np.float32))
            assert back.prompts == episode.prompts
            assert np.abs(back.images("wrist").astype(int) - episode.images("wrist")).mean() < 3


def _as_version_2_1(dataset: Path, old: Path) -> Path:
    info = json.loads((dataset / "meta/info.json").read_text())
    info["codebase_version"] = "v2.1"
    info["data_path"] = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
    info["video_path"] = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
    info["features"] = {name: f for name, f in info["features"].items() if not name.startswith("vla.")}
    (old / "meta").mkdir(parents=True)
    (old / "meta/info.json").write_text(json.dumps(info))
    tasks = pq.read_table(dataset / "meta/tasks.parquet").to_pylist()
    (old / "meta/tasks.jsonl").write_text("\n".join(json.dumps(task) for task in tasks))
    known = pq.read_table(dataset / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    lines = [{key: entry[key] for key in ("episode_index", "tasks", "length")} for entry in known]
    (old / "meta/episodes.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    data = pq.read_table(dataset / "data/chunk-000/file-000.parquet")
    data = data.select([name for name in data.column_names if not name.startswith("vla.")])
    for entry in known:
        names = {"episode_chunk": 0, "episode_index": entry["episode_index"]}
        path = old / info["data_path"].format(**names)
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(data.slice(entry["dataset_from_index"], entry["length"]), path)
        for key in ("observation.images.scene", "observation.images.wrist"):
            source = dataset / f"videos/{key}/chunk-000/file-000.mp4"
            target = old / info["video_path"].format(video_key=key, **names)
            _cut_video(source, target, entry[f"videos/{key}/from_timestamp"], entry["length"])
    return old


def _cut_video(source: Path, target: Path, from_s: float, count: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(source)) as whole, av.open(str(target), "w") as part:
        stream = whole.streams.video[0]
        out = part.add_stream("libx264", rate=10, options={"crf": "10"})
        out.width, out.height, out.pix_fmt = stream.width, stream.height, "yuv420p"
        wanted = [f for f in whole.decode(stream) if from_s - 0.01 <= float(f.pts * stream.time_base)][:count]
        for number, frame in enumerate(wanted):
            image = av.VideoFrame.from_ndarray(frame.to_ndarray(format="rgb24"), format="rgb24")
            image.pts = number
            part.mux(out.encode(image))
        part.mux(out.encode(None))


def test_a_broken_data_set_is_refused_by_name(tmp_path: Path, dataset: Path) -> None:
    with pytest.raises(FormatError, match=r"expected a LeRobot data set with meta/info.json, found none"):
        LeRobotDataset(tmp_path)
    video = dataset / "videos/observation.images.scene/chunk-000/file-000.mp4"
    video.write_bytes(video.read_bytes()[:500])
    with pytest.raises(FormatError, match="expected a whole video"):
        import_lerobot(dataset, tmp_path / "back")
    assert not list((tmp_path / "back").glob("*.hdf5*"))
    info = json.loads((dataset / "meta/info.json").read_text())
    (dataset / "meta/info.json").write_text(json.dumps(info | {"codebase_version": "v1.6"}))
    with pytest.raises(FormatError, match=r"expected the version 'v3.0', 'v2.1' or 'v2.0', found 'v1.6'"):
        LeRobotDataset(dataset)


def test_nothing_is_overwritten_and_nothing_half_done_stays(
    tmp_path: Path, dataset: Path, episodes: list[Path]
) -> None:
    with pytest.raises(FormatError, match="expected nothing there"):
        export_lerobot(episodes, dataset)
    broken = tmp_path / "episodes" / "episode_2.hdf5"
    broken.write_bytes(b"no episode")
    with pytest.raises(Exception, match="expected a whole HDF5 file"):
        export_lerobot([*episodes, broken], tmp_path / "other")
    assert not (tmp_path / "other").exists()
    assert not (tmp_path / "other.partial").exists()


def test_an_episode_with_everything_comes_back_as_far_as_lerobot_can_hold_it(
    tmp_path: Path, small, embodied, same
) -> None:
    """Depth images, a stream at its own rate and chunks are named as left out; all else is there, also who drove."""
    source = small(tmp_path / "episodes", embodied("lossless"), policy_id="act")
    report = export_lerobot([source], tmp_path / "dataset", "lossless")
    assert report.notes == [
        "left out: depth images of 'far'",
        "left out: 'force' at its own rate",
        "left out: the policy's chunks of rollouts",
    ]
    (back,) = import_lerobot(tmp_path / "dataset", tmp_path / "back").written
    same(source, back, beside=False)
    with EpisodeReader(back) as episode:
        assert episode.policy_drives.any()
        assert not episode.info.metadata.embodiment.depth_cameras
        assert not episode.info.metadata.embodiment.streams["force"].native
    assert not deviations(back)
