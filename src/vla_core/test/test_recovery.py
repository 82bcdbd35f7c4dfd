"""What a recorder leaves behind when it is killed, or the power fails, becomes a finished episode of whole rows."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from vla_core.action_chunk import ActionChunk
from vla_core.chunk_times import ChunkTimes
from vla_core.embodiment import Embodiment, load_embodiment
from vla_core.episodes import (
    CommandState,
    EpisodeMetadata,
    EpisodeReader,
    Hdf5EpisodeWriter,
    NativeSamples,
    RolloutChunk,
    list_episodes,
    recover_folder,
    recover_partial,
)
from vla_core.episodes.folder import journal_of, partial_of, reserve_episode
from vla_core.episodes.journal import read_journal
from vla_core.episodes.synthetic import START_NS, synthetic_numbers, synthetic_step
from vla_core.errors import EpisodeError

FR3 = load_embodiment(Path(__file__).parents[3] / "config" / "embodiments" / "fr3.yaml")
KEPT_AS = {"scene": "raw", "wrist": "lossless"}


def robot(**kept_as: str) -> Embodiment:
    """The FR3 with small images, kept in different ways, and a native stream."""
    cameras = {
        role: dataclasses.replace(camera, height=40, width=56, images=(kept_as or KEPT_AS)[role])
        for role, camera in FR3.cameras.items()
    }
    streams = {name: dataclasses.replace(stream, native=name == "joints") for name, stream in FR3.streams.items()}
    return dataclasses.replace(FR3, cameras=cameras, streams=streams)


ROBOT = robot()
JPEG = robot(scene="jpeg", wrist="jpeg")
Place = tuple[Path, Path]


def native(index: int) -> NativeSamples:
    stamps = START_NS + (index * 5 + np.arange(5, dtype=np.int64)) * 2_000_000
    return NativeSamples("joints", stamps, stamps + 1, np.full((5, 21), index, np.float64))


def chunk(index: int) -> RolloutChunk:
    actions = np.full((3, 8), index, np.float64)
    return RolloutChunk(
        ActionChunk(actions, FR3.action_names, START_NS + index, 1, START_NS, "p", index), 7, "s", False
    )


def passed(index: int) -> ChunkTimes:
    return ChunkTimes("p", index, *(START_NS + index + station for station in range(8)))


class Recording:
    """An episode that is being written, and what a kill would leave of it now."""

    def __init__(self, folder: Path, embodiment: Embodiment = ROBOT) -> None:
        self.now_s = 0.0
        self.embodiment = embodiment
        metadata = EpisodeMetadata("pick", "sim", embodiment, task="cubes", seed=4)
        self.writer = Hdf5EpisodeWriter(folder / "recorded", metadata, now_s=lambda: self.now_s)
        self._left = folder / "left"

    def add(self, count: int, flush_every: int = 6) -> None:
        for _ in range(count):
            index = len(self.writer)
            self.now_s += 0.1 / flush_every + 1e-6
            self.writer.beside(native(index))
            self.writer.append(synthetic_step(self.embodiment, index), "place" if index >= 10 else "")
            if index % 4 == 0:
                self.writer.beside(chunk(index))
                self.writer.beside(passed(index))
                self.writer.beside(CommandState(START_NS + index, "running" if index % 8 else "armed"))

    def killed(self) -> Path:
        """A folder with the files as they are on the disk now. Returns the partial file in it."""
        shutil.rmtree(self._left, ignore_errors=True)
        shutil.copytree(self.writer.path.parent, self._left)
        return self._left / self.writer.partial_path.name


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[Recording]:
    made = Recording(tmp_path)
    yield made
    made.writer.discard()


def assert_recovered(folder: Path, steps: int, embodiment: Embodiment = ROBOT, name: str = "episode_0.hdf5") -> None:
    """One finished episode and nothing else is there; plain h5py finds whole rows in it, as they were given."""
    path = folder / name
    assert sorted(other.name for other in folder.iterdir()) == sorted({name, *(p.name for p in list_episodes(folder))})
    with h5py.File(path, "r") as file:
        assert int(file["vla"].attrs["steps"]) == steps
        for dataset, expected in synthetic_numbers(embodiment, steps).items():
            np.testing.assert_array_equal(file[dataset][:], expected)
    with EpisodeReader(path) as episode:
        assert episode.info.outcome == "unknown"
        assert f"recovered {steps} steps" in episode.info.recovered
        assert (episode.info.metadata.task, episode.info.metadata.seed) == ("cubes", 4)
        assert episode.prompts == ["pick"] * min(steps, 10) + ["place"] * (steps - min(steps, 10))
        for index in range(steps):
            for role in embodiment.cameras:
                expected_image = synthetic_step(embodiment, index).samples[role].value
                difference = np.abs(episode.image(role, index).astype(int) - expected_image)
                assert difference.mean() < (8 if embodiment.cameras[role].images == "jpeg" else 1e-9)
        found = episode.native("joints")
        np.testing.assert_array_equal(found.values[:, 0], np.repeat(np.arange(len(found) // 5), 5))
        assert len(found) >= 5 * steps
        assert episode.rollout is not None
        assert [record.chunk.sequence for record in episode.rollout.chunks()][: steps // 4] == [
            *range(0, steps // 4 * 4, 4)
        ]
        told = len(episode.ledger)
        assert list(episode.ledger) == [passed(4 * number) for number in range(told)]
        assert [state.state for state in episode.states] == [*("armed", "running") * told][: len(episode.states)]
        assert min(told, len(episode.states)) >= steps // 4


# -- kills -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 5, 6, 7, 13, 63, 64, 65, 66, 131])
def test_every_row_of_a_killed_recorder_is_recovered(recording: Recording, steps: int) -> None:
    recording.add(steps)
    partial = recording.killed()
    (line,) = recover_folder(partial.parent)
    assert line == f"episode_0.hdf5: recovered {steps} steps of a recording that was cut off"
    assert_recovered(partial.parent, steps)


def test_jpeg_images_are_recovered_as_they_are(tmp_path: Path) -> None:
    recording = Recording(tmp_path, JPEG)
    recording.add(70)
    partial = recording.killed()
    recording.writer.discard()
    assert recover_partial(partial).steps == 70
    assert_recovered(partial.parent, 70, JPEG)
    with h5py.File(partial.with_suffix(""), "r") as file:
        assert file["compress_len"].shape == (2, 70)


class Blocks:
    """The blocks of 512 bytes in which two states of a file differ."""

    def __init__(self, before: bytes, after: bytes) -> None:
        self.before, self.after = before.ljust(len(after), b"\0"), after
        starts = range(0, len(after), 512)
        self.changed = [start for start in starts if self.before[start : start + 512] != after[start : start + 512]]

    def with_some(self, chosen: np.ndarray) -> bytes:
        """The earlier state with some of the later blocks."""
        mixed = bytearray(self.before)
        for start in np.array(self.changed)[chosen]:
            mixed[start : start + 512] = self.after[start : start + 512]
        return bytes(mixed)


@pytest.mark.parametrize("steps", [6, 48, 66, 126, 192])
def test_whatever_part_of_a_flush_has_come_to_the_disk_nothing_is_lost(recording: Recording, steps: int) -> None:
    """A kill within a flush leaves some of its writes, the loss of power any. The journal and the images are there."""
    recording.add(steps - 5)
    recording.writer.flush()
    recording.add(4, flush_every=1000)
    before = recording.killed().read_bytes()
    recording.add(1, flush_every=1000)
    recording.writer.flush()
    partial = recording.killed()
    blocks = Blocks(before, partial.read_bytes())
    image_blocks = {
        block * 512
        for row in read_journal(journal_of(partial.with_suffix(""))).rows[-1:]
        for place in row.images
        for block in range(place.offset // 512, (place.offset + place.size - 1) // 512 + 1)
    }
    assert len(blocks.changed) > len(image_blocks) + 10
    is_image = np.array([start in image_blocks for start in blocks.changed])
    rng = np.random.default_rng(steps)
    ways = [np.arange(len(blocks.changed)) < count for count in range(0, len(blocks.changed), 7)]
    ways += [rng.random(len(blocks.changed)) < share for share in (0.1, 0.3, 0.5, 0.7, 0.9) for _ in range(5)]
    rebuilt = 0
    for chosen in ways:
        partial = recording.killed()
        partial.write_bytes(blocks.with_some(chosen | is_image))
        rebuilt += not opens(partial)
        recover_folder(partial.parent)
        assert_recovered(partial.parent, steps)
    assert rebuilt > 0  # some of these states are nothing that h5py opens


def opens(path: Path) -> bool:
    try:
        with h5py.File(path, "r", locking=False) as file:
            return all(len(file[name][:]) > 0 for name in ("observations/images/scene", "observations/images/wrist"))
    except (OSError, RuntimeError, KeyError):
        return False


@pytest.mark.parametrize("share", [0.0, 0.01, 0.2, 0.5, 0.9, 0.999])
def test_of_a_truncated_file_the_rows_before_the_end_are_recovered(recording: Recording, share: float) -> None:
    recording.add(80)
    partial = recording.killed()
    rows = read_journal(journal_of(partial.with_suffix(""))).rows
    size = int(share * max(place.offset + place.size for place in rows[-1].images))  # behind it is what was reserved
    whole = sum(1 for row in rows if all(place.offset + place.size <= size for place in row.images))
    os.truncate(partial, size)
    (line,) = recover_folder(partial.parent)
    if whole:
        assert f"recovered {whole} steps of a recording that was cut off; the last {80 - whole} were not whole" in line
        assert_recovered(partial.parent, whole)
    else:
        assert "none of its 80 steps is whole" in line
        assert {path.name for path in partial.parent.iterdir()} == {
            "episode_0.hdf5.damaged",
            "episode_0.hdf5.damaged.journal",
        }


def test_a_row_with_a_lost_page_ends_the_episode_before_it(tmp_path: Path) -> None:
    cameras = {"scene": FR3.cameras["scene"]}  # of 0.9 MB, of which only a part is in the checksum
    embodiment = dataclasses.replace(robot(), cameras=cameras)
    recording = Recording(tmp_path, embodiment)
    recording.add(9)
    rows = read_journal(journal_of(recording.killed().with_suffix(""))).rows
    for image in (rows[3].images[0], rows[7].images[0]):
        partial = recording.killed()
        page = (image.offset + image.size // 2) // 4096 * 4096
        with partial.open("r+b") as file:
            file.seek(page)
            file.write(bytes(4096))
        recovered = recover_partial(partial)
        assert recovered.steps == (3 if image is rows[3].images[0] else 7)
        assert_recovered(partial.parent, recovered.steps, embodiment)
    recording.writer.discard()


@pytest.mark.parametrize("share", [0.3, 0.5, 0.97])
def test_a_journal_that_is_cut_off_counts_as_far_as_it_is_whole(recording: Recording, share: float) -> None:
    recording.add(80)
    partial = recording.killed()
    journal = journal_of(partial.with_suffix(""))
    os.truncate(journal, int(journal.stat().st_size * share))
    steps = len(read_journal(journal).rows)
    assert 0 < steps < 80
    assert recover_partial(partial).steps == steps
    assert_recovered(partial.parent, steps)


def test_a_damaged_journal_counts_up_to_the_damage(recording: Recording) -> None:
    recording.add(30)
    partial = recording.killed()
    journal = journal_of(partial.with_suffix(""))
    data = bytearray(journal.read_bytes())
    data[len(data) // 2] ^= 1
    journal.write_bytes(data)
    recovered = recover_partial(partial)
    assert 5 < recovered.steps < 25
    assert_recovered(partial.parent, recovered.steps)


def test_without_its_journal_the_flushed_rows_of_a_file_are_recovered(recording: Recording) -> None:
    recording.add(40)
    partial = recording.killed()
    journal_of(partial.with_suffix("")).unlink()
    with h5py.File(partial, "r") as file:
        flushed = int(file["vla"].attrs["steps"])
    assert 33 < flushed <= 40
    (line,) = recover_folder(partial.parent)
    assert line == (f"episode_0.hdf5: {flushed} steps, recovered without its journal from a recording that was cut off")
    with EpisodeReader(partial.with_suffix("")) as episode:
        assert len(episode) == flushed
        np.testing.assert_array_equal(episode.image("wrist", 33), synthetic_step(ROBOT, 33).samples["wrist"].value)


def test_a_recovery_that_is_killed_itself_is_made_again(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    recording.add(50)
    partial = recording.killed()

    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("vla_core.episodes.recovery.publish_episode", kill)
        with pytest.raises(Killed):
            recover_folder(partial.parent)
    (line,) = recover_folder(partial.parent)
    assert line == "episode_0.hdf5: it was complete, and has its name now"
    assert_recovered(partial.parent, 50)


# -- names -----------------------------------------------------------------------------------------------------------------


def test_a_file_that_is_being_written_is_left_alone(recording: Recording) -> None:
    recording.add(20)
    folder = recording.writer.path.parent
    assert recover_folder(folder) == ()
    assert recover_partial(recording.writer.partial_path) is None
    recording.add(5)
    with EpisodeReader(recording.writer.finish("success")) as episode:
        assert len(episode) == 25
    assert recover_partial(recording.writer.partial_path) is None


def test_a_name_that_is_taken_is_not_overwritten(recording: Recording) -> None:
    recording.add(20)
    partial = recording.killed()
    partial.with_suffix("").write_text("another episode")
    assert recover_partial(partial).path.name == "episode_1.hdf5"
    assert_recovered(partial.parent, 20, name="episode_1.hdf5")
    assert partial.with_suffix("").read_text() == "another episode"


def test_a_finished_file_gets_its_name(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer may be killed before it renames the file, or between its two names."""
    recording.add(20)

    def fail(*_: object) -> None:
        raise OSError("killed here")

    with monkeypatch.context() as patch:
        patch.setattr("vla_core.episodes.writer.publish_episode", fail)
        with pytest.raises(EpisodeError, match="killed here"):
            recording.writer.finish("success")
    for two_names in (False, True):
        partial = recording.killed()
        if two_names:
            os.link(partial, partial.with_suffix(""))
        (line,) = recover_folder(partial.parent)
        assert line == "episode_0.hdf5: it was complete, and has its name now"
        assert [path.name for path in partial.parent.iterdir()] == ["episode_0.hdf5"]
        with EpisodeReader(partial.with_suffix("")) as episode:
            assert (episode.info.outcome, episode.info.recovered) == ("success", "")


def test_files_without_a_whole_row_are_removed(recording: Recording) -> None:
    partial = recording.killed()
    empty, _ = reserve_episode(partial.parent)
    _.release()
    lines = recover_folder(partial.parent)
    assert lines == tuple(f"episode_{number}.hdf5.partial: held no whole step; removed" for number in (0, 1))
    assert empty.name == "episode_1.hdf5"
    assert list(partial.parent.iterdir()) == []


def test_what_cannot_be_read_is_set_aside_and_its_number_is_free(tmp_path: Path) -> None:
    for _ in range(2):
        (tmp_path / "episode_3.hdf5.partial").write_bytes(b"no HDF5 at all")
        (line,) = recover_folder(tmp_path)
        assert line.startswith("episode_3.hdf5.partial: nothing whole can be read")
    assert {path.name for path in tmp_path.iterdir()} == {"episode_3.hdf5.damaged", "episode_3.hdf5.damaged-2"}
    assert reserve_episode(tmp_path)[0].name == "episode_0.hdf5"


def test_a_journal_whose_file_is_gone_is_removed(recording: Recording) -> None:
    recording.add(3)
    partial = recording.killed()
    partial.unlink()
    assert recover_folder(partial.parent) == ()
    assert list(partial.parent.iterdir()) == []


def test_several_files_are_recovered_and_one_that_cannot_be_does_not_matter(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording.add(9)
    partial = recording.killed()
    path = partial.with_suffix("")
    for number in (4, 7):
        other = path.with_name(f"episode_{number}.hdf5")
        shutil.copy(partial, partial_of(other))
        shutil.copy(journal_of(path), journal_of(other))
    journal = journal_of(path.with_name("episode_4.hdf5"))
    journal.unlink()
    journal.mkdir()
    lines = recover_folder(partial.parent)
    assert [line.partition(":")[0] for line in lines] == ["episode_0.hdf5", "episode_4.hdf5.partial", "episode_7.hdf5"]
    assert "not recovered, and left as it is" in lines[1]
    assert [episode.name for episode in list_episodes(partial.parent)] == ["episode_0.hdf5", "episode_7.hdf5"]
    assert (partial.parent / "episode_4.hdf5.partial").exists()


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EpisodeError, match="expected a folder of episodes"):
        recover_folder(tmp_path / "elsewhere")


# -- disks -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], capture_output=True, text=True
    )
    if mount.returncode != 0:
        pytest.skip(f"cannot mount a small file system here: {mount.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_what_was_recorded_before_the_disk_was_full_is_recovered_on_it(small_disk: Path) -> None:
    embodiment = load_embodiment(Path(__file__).parents[3] / "config" / "embodiments" / "fr3_sim.yaml")
    writer = Hdf5EpisodeWriter(small_disk, EpisodeMetadata("", "sim", embodiment))
    steps_to_come = (synthetic_step(embodiment, index) for index in range(1000))
    with pytest.raises(EpisodeError, match="No space left on device"):
        deque(map(writer.append, steps_to_come), maxlen=0)
    steps = len(writer)
    (line,) = recover_folder(small_disk)
    assert line.startswith("episode_0.hdf5: recovered ")
    with EpisodeReader(small_disk / "episode_0.hdf5") as episode:
        assert steps - 1 <= len(episode) <= steps
        for index in range(len(episode)):
            for role in embodiment.cameras:
                expected = synthetic_step(embodiment, index).samples[role].value
                np.testing.assert_array_equal(episode.image(role, index), expected)


def test_on_a_disk_that_cannot_be_written_everything_stays_as_it_is(recording: Recording, small_disk: Path) -> None:
    recording.add(9)
    partial = recording.killed()
    for path in partial.parent.iterdir():
        shutil.copy(path, small_disk)
    before = {path.name: path.read_bytes() for path in small_disk.iterdir()}
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    (line,) = recover_folder(small_disk)
    assert line.startswith("episode_0.hdf5.partial: not recovered, and left as it is:")
    assert "Read-only file system" in line
    assert {path.name: path.read_bytes() for path in small_disk.iterdir()} == before
