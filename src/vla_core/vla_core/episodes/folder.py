"""A folder of episodes: ``episode_<number>.hdf5`` when finished, ``episode_<number>.hdf5.partial`` while one is recorded."""

from __future__ import annotations

import os
import re
from pathlib import Path

from vla_core.errors import EpisodeError

PARTIAL = ".partial"
_FINISHED = re.compile(r"^episode_(\d+)\.hdf5$")
_TAKEN = re.compile(r"^episode_(\d+)\.hdf5(\.partial)?$")


def list_episodes(folder: Path | str) -> list[Path]:
    """The finished episodes of a folder, in order of their number.

    Raises:
        EpisodeError: there is no such folder, or it cannot be read.
    """
    return [path for _, path in sorted(_numbered(Path(folder), _FINISHED))]


def reserve_episode(folder: Path) -> Path:
    """Takes the next free number of a folder by making the empty partial file. Returns the path of the finished episode.

    Several recorders may share a folder. The number is taken by the exclusive creation of the partial file. Another recorder
    may have finished and renamed that very number after the folder was listed, hence the second look.

    Raises:
        EpisodeError: the folder or the file cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        number = 1 + max((taken for taken, _ in _numbered(folder, _TAKEN)), default=-1)
        while True:
            path = folder / f"episode_{number}.hdf5"
            if _create_exclusively(partial_of(path)):
                if not path.exists():
                    return path
                partial_of(path).unlink()
            number += 1
    except OSError as error:
        raise EpisodeError(f"{folder}: cannot begin an episode: {error.strerror or error}") from error


def publish_episode(path: Path) -> None:
    """Gives a complete partial file its final name, and makes the name itself durable.

    Raises:
        EpisodeError: a file of the final name is there already; nothing is overwritten.
        OSError: the folder cannot be written.
    """
    if path.exists():
        raise EpisodeError(f"{path}: expected no such file, but it exists; the new episode stays in {partial_of(path)}")
    os.rename(partial_of(path), path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def partial_of(path: Path) -> Path:
    """Where an episode is while it is recorded."""
    return path.with_name(path.name + PARTIAL)


def _create_exclusively(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except FileExistsError:
        return False
    return True


def _numbered(folder: Path, pattern: re.Pattern[str]) -> list[tuple[int, Path]]:
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise EpisodeError(f"{folder}: expected a folder of episodes ({error.strerror or error})") from error
    matches = [(pattern.match(name), folder / name) for name in names]
    return [(int(match.group(1)), path) for match, path in matches if match]
