"""The command line about episodes: what it does, what it says, and how it ends."""

from __future__ import annotations

from pathlib import Path

import h5py
import pytest
from bags_made import scene, write_bag
from episodes_made import small_embodiment, small_step, write_small
from typer.testing import CliRunner, Result

from vla.commands.episodes import app
from vla_core.episodes import EpisodeMetadata, EpisodeReader, Hdf5EpisodeWriter, list_episodes
from vla_core.episodes.folder import journal_of, partial_of
from vla_core.errors import VlaError


def episodes(*words: object) -> Result:
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    embodiment = small_embodiment(depth=False)
    write_small(tmp_path / "episodes", embodiment)
    write_small(tmp_path / "episodes", embodiment, steps=5, prompts=("put it down",), outcome="failure")
    return tmp_path / "episodes"


def test_ls_and_info_tell_what_is_there(folder: Path, tmp_path: Path) -> None:
    listed = episodes("ls", folder, "--html", tmp_path / "list.html")
    assert listed.exit_code == 0
    assert "2 episodes in" in listed.output
    assert "failure" in listed.output
    assert (tmp_path / "list.html").is_file()
    told = episodes("info", folder / "episode_0.hdf5").output
    for word in ("12 steps", "success", "pick up the ball", "left, right, gripper", "32x24", "force"):
        assert word in told


def test_validate_ends_with_1_where_something_is_wrong(folder: Path) -> None:
    assert episodes("validate", folder).exit_code == 0
    with h5py.File(folder / "episode_1.hdf5", "a") as file:
        del file["action"]
    result = episodes("validate", folder)
    assert result.exit_code == 1
    assert "episode_1.hdf5: /action: missing" in result.output
    assert "1 of 2 without fault" in result.output


def test_recover_makes_episodes_of_what_was_left_and_says_so_file_by_file(folder: Path, tmp_path: Path) -> None:
    leave_partial(folder / "episode_2.hdf5", 7)
    leave_partial(folder / "episode_3.hdf5", 0)
    (folder / "episode_4.hdf5.partial").write_bytes(b"no HDF5")
    told = episodes("recover", folder).output.splitlines()
    assert told[0] == "episode_2.hdf5: recovered 7 steps of a recording that was cut off"
    assert "episode_3.hdf5.partial: held no whole step" in told[1]
    assert "episode_4.hdf5.partial" in told[2]
    assert "kept as episode_4.hdf5.damaged" in told[2]
    assert told[3] == f"3 partial files in {folder}"
    assert "nothing to recover" in episodes("recover", folder).output
    assert "3 of 3 without fault" in episodes("validate", folder).output
    assert "recovered 7 steps" in episodes("info", folder / "episode_2.hdf5").output
    assert "unknown" in episodes("ls", folder).output


def test_a_recovered_episode_gets_no_end_steps_by_being_converted(folder: Path, tmp_path: Path) -> None:
    """They would say that the task was over."""
    recovered = folder / "episode_2.hdf5"
    leave_partial(recovered, 7)
    episodes("recover", folder)
    episodes("convert", recovered, tmp_path / "jpeg", "--to", "jpeg")
    episodes("convert", recovered, tmp_path / "lerobot", "--to", "lerobot")
    episodes("convert", tmp_path / "lerobot", tmp_path / "back")
    for name in ("jpeg", "back"):
        with EpisodeReader(tmp_path / name / "episode_0.hdf5") as episode:
            assert (len(episode), episode.info.outcome) == (7, "unknown")
            assert not episode.markers.any()
        assert "1 of 1 without fault" in episodes("validate", tmp_path / name).output


def leave_partial(path: Path, steps: int) -> None:
    """Puts there what a recorder leaves that was killed while it recorded this episode."""
    embodiment = small_embodiment(depth=False)
    writer = Hdf5EpisodeWriter(path.parent / "killed", EpisodeMetadata("lift", "sim", embodiment))
    for index in range(steps):
        writer.append(small_step(embodiment, index))
    writer.flush()
    for kind in (partial_of, journal_of):
        kind(path).write_bytes(kind(writer.path).read_bytes())
    writer.discard()
    writer.path.parent.rmdir()


@pytest.mark.parametrize("name", ["aloha", "aloha-jpeg", "lerobot", "robomimic", "raw", "jpeg", "lossless"])
def test_convert_there_and_back(folder: Path, tmp_path: Path, name: str) -> None:
    target = tmp_path / ("data.hdf5" if name == "robomimic" else "data")
    there = episodes("convert", folder, target, "--to", name)
    assert there.exit_code == 0
    assert "2 episodes" in there.output
    if name in ("lerobot", "robomimic"):
        back = episodes("convert", target, tmp_path / "back")
        assert back.exit_code == 0
        target = tmp_path / "back"
    with EpisodeReader(list_episodes(target)[1]) as episode, EpisodeReader(folder / "episode_1.hdf5") as source:
        assert episode.prompts == source.prompts
        assert (episode.actions == source.actions).all()


@pytest.mark.ros
def test_convert_makes_an_episode_of_a_bag(tmp_path: Path) -> None:
    import yaml

    from vla_core import config

    bag = write_bag(tmp_path / "bag", scene())
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(config.to_mapping(small_embodiment(depth=False))))
    words = ("--embodiment", tmp_path / "small.yaml", "--task", "ball", "--images", "lossless", "--outcome", "failure")
    made = episodes("convert", bag, tmp_path / "episodes", *words)
    assert "1 episode" in made.output
    with EpisodeReader(tmp_path / "episodes" / "episode_0.hdf5") as episode:
        assert episode.info.metadata.task == "ball"
        assert episode.info.outcome == "failure"
        assert episode.compression("scene") == "lossless"
        assert len(episode) == 22
    with pytest.raises(VlaError, match="expected the embodiment"):
        episodes("convert", bag, tmp_path / "episodes")


def test_wrong_usage_is_2(folder: Path, tmp_path: Path) -> None:
    assert episodes("convert", folder, tmp_path / "x").exit_code == 2
    assert episodes("convert", folder, tmp_path / "x", "--to", "mp3").exit_code == 2
    assert episodes("split", folder, "--into", tmp_path / "x", "--share", "train").exit_code == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--to", "lerobot", "--task", "x"), "--task"),
        (("--to", "aloha", "--quality", "5"), "--quality"),
        (("--to", "robomimic", "--plain"), "--plain"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(
    folder: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    result = episodes("convert", folder, tmp_path / "out", *options)
    assert result.exit_code == 2
    assert message in result.output
    assert "does nothing here" in result.output
    assert not (tmp_path / "out").exists()


def test_merge_split_and_trim(folder: Path, tmp_path: Path) -> None:
    assert "4 episodes" in episodes("merge", folder, folder, "--into", tmp_path / "all").output
    assert len(list_episodes(tmp_path / "all")) == 4
    episodes("split", tmp_path / "all", "--into", tmp_path / "sets", "--share", "a=0.5", "--share", "b=0.5")
    assert [len(list_episodes(tmp_path / "sets" / name)) for name in "ab"] == [2, 2]
    episodes("split", folder / "episode_0.hdf5", "--into", tmp_path / "parts", "--at", 4)
    assert [len(EpisodeReader(path)) for path in list_episodes(tmp_path / "parts")] == [4, 8]
    episodes("trim", folder / "episode_0.hdf5", "--into", tmp_path / "trimmed", "--start", 2, "--stop", 6)
    assert len(EpisodeReader(tmp_path / "trimmed" / "episode_0.hdf5")) == 4


def test_view_writes_a_page_beside_the_episode(folder: Path) -> None:
    viewed = episodes("view", folder / "episode_0.hdf5", "--no-rerun")
    assert viewed.exit_code == 0
    assert (folder / "episode_0.html").read_text().startswith("<!DOCTYPE html>")
