"""A folder of episodes: ``episode_<number>.hdf5`` when finished, ``episode_<number>.hdf5.partial`` while one is recorded.

Beside a partial file lies its journal, ``episode_<number>.hdf5.journal``. Whoever writes a partial file holds a lock on it, which
ends with the process: a partial file without one was left behind, and may be recovered.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from pathlib import Path

from vla_core.errors import EpisodeError

PARTIAL, JOURNAL, DAMAGED = ".partial", ".journal", ".damaged"
_FINISHED = re.compile(r"^episode_(\d+)\.hdf5$")
_PARTIAL = re.compile(r"^episode_(\d+)\.hdf5\.partial$")
_JOURNAL = re.compile(r"^episode_(\d+)\.hdf5\.journal$")
_TAKEN = re.compile(r"^episode_(\d+)\.hdf5(\.partial)?$")
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class EpisodeLock:
    """Says that a partial file is being written. Released when it is told so, or with the end of the process.

    Attributes:
        identity: of the locked file: its device and inode.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        found = os.fstat(descriptor)
        self.identity = (found.st_dev, found.st_ino)

    @classmethod
    def take(cls, descriptor: int, path: Path) -> EpisodeLock | None:
        """Locks an open file. Returns None, and closes it, if somebody else holds the lock or the path is another file now."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError:
            pass  # a file system without locks
        lock = cls(descriptor)
        if not lock.holds(path):
            lock.release()
            return None
        return lock

    @classmethod
    def of_partial(cls, partial: Path) -> EpisodeLock | None:
        """Locks a partial file that was left behind; None if it is being written, or gone.

        Raises:
            OSError: it cannot be opened.
        """
        try:
            descriptor = os.open(partial, os.O_RDWR)
        except FileNotFoundError:
            return None
        return cls.take(descriptor, partial)

    def holds(self, path: Path) -> bool:
        """Whether the locked file is still the one of this path."""
        try:
            found = os.stat(path)
        except FileNotFoundError:
            return False
        return (found.st_dev, found.st_ino) == self.identity

    @property
    def descriptor(self) -> int:
        """Of the locked file."""
        return self._descriptor

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def list_episodes(folder: Path | str) -> list[Path]:
    """The finished episodes of a folder, in order of their number.

    Raises:
        EpisodeError: there is no such folder, or it cannot be read.
    """
    return [path for _, path in sorted(_numbered(Path(folder), _FINISHED))]


def list_partials(folder: Path) -> list[Path]:
    """The partial files of a folder, being written or left behind, in order of their number. Raises EpisodeError."""
    return [path for _, path in sorted(_numbered(folder, _PARTIAL))]


def list_lone_journals(folder: Path) -> list[Path]:
    """Journals whose partial file is gone: what a process left that was killed at the very end. Raises EpisodeError."""
    journals = [path for _, path in sorted(_numbered(folder, _JOURNAL))]
    return [path for path in journals if not path.with_suffix(PARTIAL).exists()]


def reserve_episode(folder: Path) -> tuple[Path, EpisodeLock]:
    """Takes the next free number of a folder by making the empty partial file.

    Several recorders may share a folder. The number is taken by the exclusive creation of the partial file. Another recorder
    may have finished and renamed that very number after the folder was listed, hence the second look.

    Returns:
        The path of the finished episode, and the lock on its partial file.

    Raises:
        EpisodeError: the folder or the file cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        number = 1 + max((taken for taken, _ in _numbered(folder, _TAKEN)), default=-1)
        while True:
            path = folder / f"episode_{number}.hdf5"
            lock = _create_exclusively(partial_of(path))
            if lock is not None:
                if not path.exists():
                    return path, lock
                partial_of(path).unlink()
                lock.release()
            number += 1
    except OSError as error:
        raise EpisodeError(f"{folder}: cannot begin an episode: {error.strerror or error}") from error


def publish_episode(path: Path, complete: Path | None = None) -> None:
    """Gives a complete file, usually the partial one, its final name, and makes the name itself durable.

    Raises:
        EpisodeError: a file of the final name is there already; nothing is overwritten.
        OSError: the folder cannot be written.
    """
    complete = complete or partial_of(path)
    try:
        _rename_exclusively(complete, path)
    except FileExistsError:
        raise EpisodeError(
            f"{path}: expected no such file, but it exists; the new episode stays in {complete}"
        ) from None
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def partial_of(path: Path) -> Path:
    """Where an episode is while it is recorded."""
    return path.with_name(path.name + PARTIAL)


def journal_of(path: Path) -> Path:
    """Where an episode's journal is while it is recorded."""
    return path.with_name(path.name + JOURNAL)


def _rename_exclusively(source: Path, target: Path) -> None:
    """Renames a file unless the target exists, in one step where the file system has links."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if target.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from None
        os.rename(source, target)
    else:
        os.unlink(source)


def _create_exclusively(path: Path) -> EpisodeLock | None:
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
    except FileExistsError:
        return None
    return EpisodeLock.take(descriptor, path)


def _numbered(folder: Path, pattern: re.Pattern[str]) -> list[tuple[int, Path]]:
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise EpisodeError(f"{folder}: expected a folder of episodes ({error.strerror or error})") from error
    matches = [(pattern.match(name), folder / name) for name in names]
    return [(int(match.group(1)), path) for match, path in matches if match]
