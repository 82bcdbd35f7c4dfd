"""Episode files: what is written is read back, what is not an episode is refused with a reason."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_core.embodiment import Embodiment, load_embodiment
from vla_core.embodiment.schema import Field, Stream
from vla_core.episodes import (
    EpisodeMetadata,
    EpisodeReader,
    Hdf5EpisodeWriter,
    RecordingSummary,
    StreamSummary,
    list_episodes,
)
from vla_core.episodes.synthetic import synthetic_step
from vla_core.errors import EpisodeError
from vla_core.observation import Sample, Step
from vla_core.steps import action_from, observation_from, vector_from

CONFIG = Path(__file__).parents[3] / "config" / "embodiments"
FR3 = load_embodiment(CONFIG / "fr3.yaml")


def small(height: int = 4, width: int = 6, end_steps: int = 0) -> Embodiment:
    """The FR3 with images of a few pixels."""
    cameras = {role: dataclasses.replace(c, height=height, width=width) for role, c in FR3.cameras.items()}
    return dataclasses.replace(FR3, cameras=cameras, steps=dataclasses.replace(FR3.steps, end_steps=end_steps))


def record(folder: Path, steps: int = 10, embodiment: Embodiment | None = None, **known: object) -> Path:
    embodiment = embodiment or small()
    writer = Hdf5EpisodeWriter(folder, EpisodeMetadata("pick up the cube", "sim", embodiment, **known))
    for index in range(steps):
        writer.append(synthetic_step(embodiment, index))
    return writer.finish("success")


@given(
    steps=st.integers(1, 40), height=st.integers(1, 9), width=st.integers(1, 9), end_steps=st.integers(0, 5)
)  # more and fewer rows than a flush has
@settings(max_examples=25, deadline=None)
def test_every_row_is_read_back_as_it_was_given(steps: int, height: int, width: int, end_steps: int) -> None:
    embodiment = small(height, width, end_steps)
    with tempfile.TemporaryDirectory() as folder, EpisodeReader(record(Path(folder), steps, embodiment)) as episode:
        assert len(episode) == steps + end_steps
        assert list(episode.markers) == [0] * steps + [1] * end_steps
        for index in range(steps):
            step = synthetic_step(embodiment, index)
            expected, found = observation_from(step, embodiment, "pick up the cube"), episode.observation(index)
            assert (found.stamp_ns, found.prompt, found.ages_ns) == (step.stamp_ns, expected.prompt, expected.ages_ns)
            for role, image in expected.images.items():
                np.testing.assert_array_equal(found.images[role], image)
                assert found.images[role].dtype == np.uint8
            for group, vector in expected.proprioception.items():
                np.testing.assert_array_equal(found.proprioception[group], vector)
            np.testing.assert_array_equal(episode.actions[index], action_from(step, embodiment))
            for name, sample in step.samples.items():
                assert episode.stream_stamps_ns(name)[index] == sample.stamp_ns
                assert episode.stream_ages_ns(name)[index] == step.age_ns(name)


def test_whole_columns_equal_the_single_rows(tmp_path: Path) -> None:
    with EpisodeReader(record(tmp_path, 9)) as episode:
        observations = [episode.observation(index) for index in range(9)]
        np.testing.assert_array_equal(episode.stamps_ns, [o.stamp_ns for o in observations])
        np.testing.assert_array_equal(episode.qpos, [o.proprioception["qpos"] for o in observations])
        np.testing.assert_array_equal(
            episode.proprioception("effort"), [o.proprioception["effort"] for o in observations]
        )
        np.testing.assert_array_equal(episode.images("wrist"), [o.images["wrist"] for o in observations])
        np.testing.assert_array_equal(episode.images("scene", 3, 5), [episode.image("scene", i) for i in (3, 4)])


def test_an_end_step_repeats_the_last_step_and_its_sources_grow_older(tmp_path: Path) -> None:
    embodiment = small(end_steps=5)
    with EpisodeReader(record(tmp_path, 3, embodiment)) as episode:
        assert np.all(np.diff(episode.stamps_ns) == embodiment.step_ns)
        for index in range(3, 8):
            np.testing.assert_array_equal(episode.image("scene", index), episode.image("scene", 2))
            np.testing.assert_array_equal(episode.qpos[index], episode.qpos[2])
            np.testing.assert_array_equal(episode.actions[index], episode.actions[2])
            assert episode.stream_stamps_ns("joints")[index] == episode.stream_stamps_ns("joints")[2]
            assert episode.stream_ages_ns("joints")[index] == (
                episode.stream_ages_ns("joints")[2] + (index - 2) * embodiment.step_ns
            )


@pytest.mark.parametrize("known", [{}, {"task": "pick_place", "seed": 0, "policy_id": "act@1234"}])
def test_what_is_known_about_an_episode_is_kept(tmp_path: Path, known: dict) -> None:
    metadata = EpisodeMetadata("stelle den Würfel ab 🤖", "real", small(), **known)
    writer = Hdf5EpisodeWriter(tmp_path, metadata, recorder="recorder_node 9.9")
    writer.append(synthetic_step(small(), 0))
    summary = RecordingSummary(dropped_steps=3, streams={"scene": StreamSummary(received=4, rate_hz=29.97)})
    with EpisodeReader(writer.finish("failure", summary)) as episode:
        info = episode.info
    assert info.metadata == metadata
    assert (info.outcome, info.steps, info.summary, info.dropped_steps) == ("failure", 1, summary, 3)
    assert (info.schema, info.recorder) == ("vla/episode/1", "recorder_node 9.9")
    assert info.created.endswith("+00:00")


def test_a_stream_that_is_in_no_vector_is_recorded_beside(tmp_path: Path) -> None:
    wrench = Stream(
        topic="/wrench",
        type="geometry_msgs/msg/WrenchStamped",
        rate_hz=1000,
        align=FR3.streams["joints"].align,
        fields={"force": Field("wrench.force", "N", ("x", "y", "z"))},
    )
    embodiment = dataclasses.replace(small(), streams={**FR3.streams, "wrench": wrench})
    path = record(tmp_path, 4, embodiment)
    with EpisodeReader(path) as episode:
        expected = [vector_from(synthetic_step(embodiment, i), embodiment, ("wrench.force",)) for i in range(4)]
        np.testing.assert_array_equal(episode.stream_values("wrench"), expected)
        with pytest.raises(EpisodeError, match="expected 'wrench', found 'joints'"):
            episode.stream_values("joints")
    with h5py.File(path) as file:
        assert json.loads(file["vla/streams/wrench/value"].attrs["names"]) == ["x", "y", "z"]


def test_the_file_has_the_layout_of_aloha_with_names_and_units(tmp_path: Path) -> None:
    with h5py.File(record(tmp_path, 7), "r") as file:
        assert file.attrs["sim"]
        assert not file.attrs["compress"]
        assert file["action"].shape == (7, 8)
        assert json.loads(file["action"].attrs["names"]) == [*FR3.joint_names, "gripper"]
        assert json.loads(file["observations/qvel"].attrs["units"]) == ["rad/s"] * 7 + ["m/s"]
        assert file["observations/qpos"].dtype == np.float64
        assert set(file["observations/images"]) == {"scene", "wrist"}
        assert file["observations/images/scene"].chunks == (1, 4, 6, 3)
        assert file["observations/images/scene"].attrs["color_order"] == "rgb"
        assert file["vla"].attrs["step_rate_hz"] == 30.0


class OriginalActLoader:
    """Reads an episode as EpisodicDataset and get_norm_stats of github.com/tonyzhaozh/act (utils.py) do.

    A random start; the state and the images of that step; all actions from there on, or from one step earlier where the
    file says that it is not of a simulation; padded to the length of the episode.
    """

    def __init__(self, folder: Path, camera_names: list[str]) -> None:
        self.folder, self.camera_names = folder, camera_names

    def sample(self, episode_id: int, start: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        with h5py.File(os.path.join(self.folder, f"episode_{episode_id}.hdf5"), "r") as root:
            is_sim = root.attrs["sim"]
            shape = root["/action"].shape
            qpos, _ = root["/observations/qpos"][start], root["/observations/qvel"][start]
            images = {name: root[f"/observations/images/{name}"][start] for name in self.camera_names}
            first = start if is_sim else max(0, start - 1)
            action = root["/action"][first:]
        padded = np.zeros(shape, dtype=np.float32)
        padded[: len(action)] = action
        is_pad = np.arange(shape[0]) >= len(action)
        return np.stack([images[name] for name in self.camera_names]), qpos, padded, is_pad

    def stats_input(self, episodes: int) -> tuple[np.ndarray, np.ndarray]:
        rows = []
        for index in range(episodes):
            with h5py.File(os.path.join(self.folder, f"episode_{index}.hdf5"), "r") as root:
                rows.append((root["/observations/qpos"][()], root["/action"][()]))
        return np.stack([qpos for qpos, _ in rows]), np.stack([action for _, action in rows])


def test_the_original_act_loader_reads_it_and_does_not_shift_the_actions(tmp_path: Path) -> None:
    for _ in range(2):
        record(tmp_path, 12)
    loader = OriginalActLoader(tmp_path, ["scene", "wrist"])
    images, qpos, actions, is_pad = loader.sample(1, start=5)
    step = synthetic_step(small(), 5)
    np.testing.assert_array_equal(images, [step.samples["scene"].value, step.samples["wrist"].value])
    np.testing.assert_array_equal(qpos, observation_from(step, small(), "").proprioception["qpos"])
    np.testing.assert_allclose(actions[0], action_from(step, small()))
    assert list(is_pad) == [False] * 7 + [True] * 5
    all_qpos, all_actions = loader.stats_input(2)
    assert all_qpos.shape == all_actions.shape == (2, 12, 8)


# -- what a writer refuses --------------------------------------------------------------------------------------------------


def without(step: Step, name: str) -> Step:
    return Step(step.stamp_ns, {other: sample for other, sample in step.samples.items() if other != name})


def with_value(step: Step, name: str, value: np.ndarray) -> Step:
    return Step(step.stamp_ns, {**step.samples, name: Sample(step.stamp_ns, step.stamp_ns, value)})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: without(s, "wrist"), r"expected the streams \['scene', 'wrist', .*missing are \['wrist'\]"),
        (lambda s: without(s, "arm_command"), r"missing are \['arm_command'\]"),
        (
            lambda s: with_value(s, "scene", np.zeros((4, 6, 4), np.uint8)),
            r"stream 'scene': expected uint8 of shape \(4, 6, 3\), found uint8 of shape \(4, 6, 4\)",
        ),
        (lambda s: with_value(s, "scene", np.zeros((4, 6, 3))), "expected uint8 .* found float64"),
        (
            lambda s: with_value(s, "joints", np.zeros(7)),
            r"stream 'joints': expected float64 of shape \(21,\), found float64 of shape \(7,\)",
        ),
        (lambda s: Step(s.stamp_ns - 10**9, s.samples), "expected a step younger than the last one at"),
    ],
)
def test_a_step_that_is_not_a_row_is_refused_and_the_episode_goes_on(
    tmp_path: Path, spoil: Callable[[Step], Step], message: str
) -> None:
    writer = Hdf5EpisodeWriter(tmp_path, EpisodeMetadata("", "sim", small()))
    writer.append(synthetic_step(small(), 0))
    with pytest.raises(EpisodeError, match=message):
        writer.append(spoil(synthetic_step(small(), 1)))
    writer.append(synthetic_step(small(), 1))
    with EpisodeReader(writer.finish("success")) as episode:
        assert len(episode) == 2


def test_an_episode_ends_once_and_with_an_outcome(tmp_path: Path) -> None:
    writer = Hdf5EpisodeWriter(tmp_path, EpisodeMetadata("", "sim", small()))
    with pytest.raises(EpisodeError, match="expected at least one step, found none"):
        writer.finish("success")
    writer.append(synthetic_step(small(), 0))
    with pytest.raises(EpisodeError, match="expected the outcome 'success', 'failure' or 'unknown', found 'discarded'"):
        writer.finish("discarded")
    path = writer.finish("success")
    for call in (lambda: writer.append(synthetic_step(small(), 1)), lambda: writer.finish("success")):
        with pytest.raises(EpisodeError, match="expected an open episode, but it is finished"):
            call()
    writer.discard()
    assert path.exists()


def test_a_discarded_episode_leaves_nothing_and_frees_its_number(tmp_path: Path) -> None:
    writer = Hdf5EpisodeWriter(tmp_path, EpisodeMetadata("", "sim", small()))
    for index in range(20):
        writer.append(synthetic_step(small(), index))
    writer.discard()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(EpisodeError, match="but it was discarded"):
        writer.append(synthetic_step(small(), 20))
    assert record(tmp_path).name == "episode_0.hdf5"


def test_discarding_twice_does_not_remove_the_file_of_the_next_recorder(tmp_path: Path) -> None:
    first = Hdf5EpisodeWriter(tmp_path, EpisodeMetadata("", "sim", small()))
    first.discard()
    second = Hdf5EpisodeWriter(tmp_path, EpisodeMetadata("", "sim", small()))
    first.discard()
    second.append(synthetic_step(small(), 0))
    assert second.finish("success") == first.path


def test_a_robot_that_is_none_of_the_three_is_refused() -> None:
    with pytest.raises(EpisodeError, match="expected 'sim', 'mock' or 'real', found 'gazebo'"):
        EpisodeMetadata("", "gazebo", small())


# -- what a reader refuses --------------------------------------------------------------------------------------------------


def test_episodes_are_listed_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (10, 9, 100):
        (tmp_path / f"episode_{number}.hdf5").touch()
    for other in ("episode_3.hdf5.partial", "episode_x.hdf5", "notes.txt", "my_episode_1.hdf5"):
        (tmp_path / other).touch()
    assert [path.name for path in list_episodes(tmp_path)] == ["episode_9.hdf5", "episode_10.hdf5", "episode_100.hdf5"]
    assert record(tmp_path).name == "episode_101.hdf5"
    with pytest.raises(EpisodeError, match="expected a folder of episodes"):
        list_episodes(tmp_path / "elsewhere")


def set_attribute(name: str, value: object) -> Callable[[h5py.File], None]:
    return lambda file: file["vla"].attrs.modify(name, value)


def delete(path: str) -> Callable[[h5py.File], None]:
    def spoil(file: h5py.File) -> None:
        del file[path]

    return spoil


def delete_attribute(name: str) -> Callable[[h5py.File], None]:
    return lambda file: file["vla"].attrs.__delitem__(name)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (set_attribute("schema", "vla/episode/9"), "expected schema 'vla/episode/1', found 'vla/episode/9'"),
        (delete("vla"), "expected schema 'vla/episode/1', found none"),
        (set_attribute("complete", False), "expected a finished episode, found a partial one"),
        (delete_attribute("outcome"), "expected the attribute 'outcome' of /vla, found none"),
        (set_attribute("embodiment", "{}"), "embodiment: schema: missing"),
        (set_attribute("streams", "[1"), "attributes of /vla cannot be read"),
        (delete("observations/qpos"), "/observations/qpos: missing"),
        (delete("observations/images/wrist"), "/observations/images/wrist: missing"),
        (delete("vla/streams/joints/age_ns"), "/vla/streams/joints/age_ns: missing"),
        (lambda file: file["action"].resize(9, 0), r"/action: expected float64 of shape \(10, 8\), found .*\(9, 8\)"),
        (
            lambda file: file["observations/images/scene"].resize(11, 0),
            r"expected uint8 of shape \(10, 4, 6, 3\), found",
        ),
        (set_attribute("steps", 12), r"expected int64 of shape \(12,\), found int64 of shape \(10,\)"),
    ],
)
def test_a_file_that_is_no_whole_episode_is_refused(
    tmp_path: Path, spoil: Callable[[h5py.File], None], message: str
) -> None:
    path = record(tmp_path)
    with h5py.File(path, "r+") as file:
        spoil(file)
    with pytest.raises(EpisodeError, match=message) as caught:
        EpisodeReader(path)
    assert str(path) in str(caught.value)


def test_images_that_were_never_written_are_not_shown_as_black(tmp_path: Path) -> None:
    path = record(tmp_path)
    with h5py.File(path, "r+") as file:
        images = file["observations/images/scene"]
        images.resize(9, 0)
        images.resize(10, 0)
    with pytest.raises(EpisodeError, match="/observations/images/scene: expected 10 images, found 9"):
        EpisodeReader(path)


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, kept: float) -> None:
    path = record(tmp_path)
    with path.open("r+b") as file:
        file.truncate(int(path.stat().st_size * kept))
    with pytest.raises(EpisodeError, match="expected a whole HDF5 file"):
        EpisodeReader(path)


def test_something_else_than_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EpisodeError, match="expected an episode file, found nothing"):
        EpisodeReader(tmp_path / "episode_7.hdf5")
    with pytest.raises(EpisodeError, match="expected an episode file, found a folder"):
        EpisodeReader(tmp_path)


def test_an_episode_that_is_being_recorded_is_refused(tmp_path: Path) -> None:
    writer = Hdf5EpisodeWriter(tmp_path, EpisodeMetadata("", "sim", small()))
    for index in range(12):
        writer.append(synthetic_step(small(), index))
    with pytest.raises(EpisodeError, match=r"found one that is being recorded|found a partial one"):
        EpisodeReader(writer.partial_path)
    writer.discard()


def test_a_question_for_something_that_is_not_there_names_what_is(tmp_path: Path) -> None:
    with EpisodeReader(record(tmp_path)) as episode:
        for question, message in (
            (lambda: episode.image("top", 0), "camera: expected 'scene' or 'wrist', found 'top'"),
            (lambda: episode.images("top"), "camera: expected 'scene' or 'wrist', found 'top'"),
            (lambda: episode.proprioception("pose"), "expected 'qpos', 'qvel' or 'effort', found 'pose'"),
            (lambda: episode.stream_ages_ns("lidar"), "expected 'scene', .* or 'gripper_command', found 'lidar'"),
            (lambda: episode.image("scene", 10), "step: expected 0 to 9, found 10"),
            (lambda: episode.observation(-1), "step: expected 0 to 9, found -1"),
        ):
            with pytest.raises(EpisodeError, match=message):
                question()
