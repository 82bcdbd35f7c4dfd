"""Episodes when something breaks: a killed recorder, a full or read-only disk, several recorders in one folder."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest

from vla_core.embodiment import load_embodiment
from vla_core.episodes import EpisodeMetadata, EpisodeReader, Hdf5EpisodeWriter, list_episodes, recover_folder
from vla_core.episodes import hdf5 as vla_hdf5
from vla_core.episodes.synthetic import synthetic_numbers, synthetic_step
from vla_core.errors import EpisodeError

FR3_SIM = load_embodiment(Path(__file__).parents[3] / "config" / "embodiments" / "fr3_sim.yaml")
MOST_PENDING = 64  # rows; steps that come faster than in reality

RECORD = """
import sys
from pathlib import Path
from vla_core.embodiment import load_embodiment
from vla_core.episodes import EpisodeMetadata, Hdf5EpisodeWriter
from vla_core.episodes.synthetic import synthetic_step

config, folder, steps = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
embodiment = load_embodiment(config)
writer = Hdf5EpisodeWriter(folder, EpisodeMetadata("", "sim", embodiment))
for index in range(steps):
    writer.append(synthetic_step(embodiment, index))
    print(index + 1, flush=True)
print(writer.finish("success").name)
"""


def recorder(folder: Path, steps: int) -> subprocess.Popen[str]:
    """A process that records; it prints the number of rows after each."""
    config = Path(__file__).parents[3] / "config" / "embodiments" / "fr3_sim.yaml"
    return subprocess.Popen(
        [sys.executable, "-c", RECORD, str(config), str(folder), str(steps)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        text=True,
    )


def assert_rows_are_whole(path: Path, at_least: int) -> None:
    """Plain h5py opens the file, its count of steps is large enough, and each row that it counts is exactly what was given."""
    with h5py.File(path, "r") as file:
        steps = int(file["vla"].attrs["steps"])
        assert steps >= at_least
        assert not file["vla"].attrs["complete"]
        for dataset, expected in synthetic_numbers(FR3_SIM, steps).items():
            np.testing.assert_array_equal(file[dataset][:], expected.reshape(file[dataset].shape))
        for role in FR3_SIM.cameras:
            images = file[f"observations/images/{role}"]
            assert len(images) == steps
            for index in range(steps):
                np.testing.assert_array_equal(images[index], synthetic_step(FR3_SIM, index).samples[role].value)


@pytest.mark.parametrize("kill_after", [1, 6, 65, 200])
def test_of_a_killed_recorder_no_row_is_lost(tmp_path: Path, kill_after: int) -> None:
    with recorder(tmp_path, steps=100_000) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= kill_after:
                break
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert list_episodes(tmp_path) == []
    with pytest.raises(EpisodeError):
        EpisodeReader(tmp_path / "episode_0.hdf5.partial")
    (line,) = recover_folder(tmp_path)
    assert "recovered" in line
    with EpisodeReader(tmp_path / "episode_0.hdf5") as episode:
        steps = len(episode)
        assert steps >= kill_after
        assert episode.info.outcome == "unknown"
        np.testing.assert_array_equal(episode.actions, synthetic_numbers(FR3_SIM, steps)["action"])
        for index in range(steps):
            expected = synthetic_step(FR3_SIM, index).samples["wrist"].value
            np.testing.assert_array_equal(episode.image("wrist", index), expected)


def written(folder: Path, now_s: Callable[[], float], steps: int) -> Hdf5EpisodeWriter:
    writer = Hdf5EpisodeWriter(folder, EpisodeMetadata("", "sim", FR3_SIM), now_s=now_s)
    for index in range(steps):
        writer.append(synthetic_step(FR3_SIM, index))
    return writer


def test_the_partial_file_alone_lacks_at_most_a_fifth_of_a_second(tmp_path: Path) -> None:
    """Whenever a copy is made of it, as a kill would leave it, plain h5py opens it."""
    now_s = [0.0]
    writer = Hdf5EpisodeWriter(tmp_path, EpisodeMetadata("", "sim", FR3_SIM), now_s=lambda: now_s[0])
    for index in range(100):
        now_s[0] = index / 30
        writer.append(synthetic_step(FR3_SIM, index))
        if index % 9 == 5:
            copy = tmp_path / "copy"
            copy.write_bytes(writer.partial_path.read_bytes())
            assert_rows_are_whole(copy, at_least=index + 1 - 6)
    writer.discard()


def test_what_waits_is_flushed_when_no_step_comes(tmp_path: Path) -> None:
    writer = written(tmp_path, lambda: 0.0, steps=5)
    copy = tmp_path / "copy"
    copy.write_bytes(writer.partial_path.read_bytes())
    with h5py.File(copy) as file:
        assert file["vla"].attrs["steps"] == 0
    writer.flush()
    copy.write_bytes(writer.partial_path.read_bytes())
    assert_rows_are_whole(copy, at_least=5)
    writer.discard()


def test_the_file_changes_only_when_it_is_flushed(tmp_path: Path) -> None:
    """The reason why a kill between two flushes cannot tear anything: only images are added, behind the end."""
    writer = written(tmp_path, lambda: 0.0, steps=130)  # flushed at 64 and at 128
    flushed = writer.partial_path.read_bytes()
    end = int.from_bytes(flushed[28:36], "little")  # of the file, as its superblock (version 2) says
    for index in range(130, 191):
        writer.append(synthetic_step(FR3_SIM, index))
    later = writer.partial_path.read_bytes()
    assert end < len(flushed)
    assert later[:end] == flushed[:end]
    assert later[end:] != flushed[end:]
    writer.append(synthetic_step(FR3_SIM, 191))
    assert writer.partial_path.read_bytes()[:end] != flushed[:end]
    writer.discard()


# -- disks ------------------------------------------------------------------------------------------------------------------


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Files of this process cannot grow beyond so many bytes [B]."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB."""
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(tmp_path)], capture_output=True, text=True
    )
    if mount.returncode != 0:
        pytest.skip(f"cannot mount a small file system here: {mount.stderr.strip()}")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def append_for_ever(writer: Hdf5EpisodeWriter) -> None:
    for index in range(1000):
        writer.append(synthetic_step(FR3_SIM, index))


def fill(folder: Path, reason: str) -> None:
    """Records one short episode and then one that meets the end of the space."""
    short = Hdf5EpisodeWriter(folder, EpisodeMetadata("", "sim", FR3_SIM))
    for index in range(3):
        short.append(synthetic_step(FR3_SIM, index))
    earlier = short.finish("success")
    before = earlier.read_bytes()

    writer = Hdf5EpisodeWriter(folder, EpisodeMetadata("", "sim", FR3_SIM))
    with pytest.raises(EpisodeError, match=reason) as caught:
        append_for_ever(writer)
    assert str(writer.partial_path) in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(EpisodeError, match="expected an open episode, but it failed to write step"):
        writer.finish("success")
    assert_rows_are_whole(writer.partial_path, at_least=len(writer) - MOST_PENDING)
    assert earlier.read_bytes() == before
    assert list_episodes(folder) == [earlier]
    writer.discard()
    assert list(folder.iterdir()) == [earlier]


def test_a_full_disk_is_one_error_and_what_was_written_stays(small_disk: Path) -> None:
    fill(small_disk, os.strerror(errno.ENOSPC))


def test_a_file_that_may_not_grow_is_one_error_and_what_was_written_stays(tmp_path: Path) -> None:
    with largest_file(3_000_000):
        fill(tmp_path, os.strerror(errno.EFBIG))


def record_15_steps(folder: Path, largest: int) -> tuple[Hdf5EpisodeWriter | None, EpisodeError | None]:
    """Records with limited space. Returns the writer, if it came so far, and the error, if there was one."""
    writer = None
    try:
        with largest_file(largest):
            writer = Hdf5EpisodeWriter(folder, EpisodeMetadata("", "sim", FR3_SIM))
            for index in range(15):
                writer.append(synthetic_step(FR3_SIM, index))
            writer.finish("success")
    except EpisodeError as error:
        return writer, error
    return writer, None


def test_wherever_the_space_ends_there_is_one_error_and_a_partial_file_that_opens(tmp_path: Path) -> None:
    """It ends while the file is made, with a step, or at the very end; or it does not end."""
    failed_to = set()
    for number, largest in enumerate(range(10_000, 1_900_000, 41_011)):
        folder = tmp_path / str(number)
        writer, error = record_15_steps(folder, largest)
        if error is None:
            with EpisodeReader(folder / "episode_0.hdf5") as episode:
                assert len(episode) == 15
        else:
            assert str(error).endswith(os.strerror(errno.EFBIG))
            if writer is None:
                assert list(folder.iterdir()) == []
            else:
                assert_rows_are_whole(writer.partial_path, at_least=len(writer) - MOST_PENDING)
        failed_to.add(str(error).rpartition("cannot ")[2].partition(":")[0].rstrip(" 0123456789"))
    assert failed_to == {"create the file", "write step", "complete the file", "None"}


def test_a_file_that_does_not_read_back_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Hdf5EpisodeWriter(tmp_path, EpisodeMetadata("", "sim", FR3_SIM))
    writer.append(synthetic_step(FR3_SIM, 0))

    def lose_the_end(path: Path) -> None:
        os.truncate(path, path.stat().st_size - 1)

    monkeypatch.setattr(vla_hdf5, "sync", lose_the_end)
    with pytest.raises(EpisodeError, match="expected a whole HDF5 file"):
        writer.finish("success")
    assert list_episodes(tmp_path) == []
    assert writer.partial_path.exists()


def test_a_folder_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EpisodeError, match="file: cannot begin an episode: File exists"):
        Hdf5EpisodeWriter(tmp_path / "file", EpisodeMetadata("", "sim", FR3_SIM))
    with pytest.raises(EpisodeError, match="cannot begin an episode"):
        Hdf5EpisodeWriter(Path("/proc/episodes"), EpisodeMetadata("", "sim", FR3_SIM))


def test_a_finished_episode_is_never_overwritten(tmp_path: Path) -> None:
    writer = Hdf5EpisodeWriter(tmp_path, EpisodeMetadata("", "sim", FR3_SIM))
    writer.append(synthetic_step(FR3_SIM, 0))
    writer.path.write_text("somebody put this here meanwhile")
    with pytest.raises(EpisodeError, match="expected no such file, but it exists"):
        writer.finish("success")
    assert writer.path.read_text() == "somebody put this here meanwhile"
    assert writer.partial_path.exists()


# -- several recorders ------------------------------------------------------------------------------------------------------


def test_recorders_that_share_a_folder_take_different_numbers(tmp_path: Path) -> None:
    def record_some(_: int) -> list[Path]:
        paths = []
        for steps in (1, 2, 3, 4, 5):
            writer = Hdf5EpisodeWriter(tmp_path, EpisodeMetadata("", "sim", FR3_SIM))
            for index in range(steps):
                writer.append(synthetic_step(FR3_SIM, index))
            paths.append(writer.finish("success"))
        return paths

    with ThreadPoolExecutor(6) as pool:
        paths = [path for some in pool.map(record_some, range(6)) for path in some]
    assert len(set(paths)) == 30
    assert sorted(paths) == sorted(list_episodes(tmp_path)) == sorted(tmp_path.iterdir())
    lengths = []
    for path in paths:
        with EpisodeReader(path) as episode:
            lengths.append(len(episode))
    assert sorted(lengths) == sorted([1, 2, 3, 4, 5] * 6)


def test_recorder_processes_that_share_a_folder_take_different_numbers(tmp_path: Path) -> None:
    processes = [recorder(tmp_path, steps=8) for _ in range(4)]
    names = {process.communicate()[0].splitlines()[-1] for process in processes}
    assert names == {f"episode_{number}.hdf5" for number in range(4)}
    assert [len(EpisodeReader(path)) for path in list_episodes(tmp_path)] == [8] * 4
