"""The few things about HDF5 files that the reader and the writer share, and that h5py does not say in one word."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from vla_core.errors import EpisodeError

# HDF5 1.8's format: readable everywhere, checksums on the superblock and on object headers. From 1.10's format on, a file whose
# writer was killed is marked as open for writing and h5py refuses it until the tool h5clear has been run on it.
_FORMAT = ("v108", "v108")
# Images begin at a page: the system then copies whole pages, and they can be mapped.
_ALIGNMENT = {"alignment_threshold": 1 << 16, "alignment_interval": 4096}
_ERRNO = re.compile(r"errno = (\d+)")


@contextmanager
def reported(path: Path, doing: str) -> Iterator[None]:
    """Turns what h5py and the system raise into one EpisodeError that names the file and what was being done with it."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise EpisodeError(f"{path}: cannot {doing}: {reason_of(error)}") from error


def reason_of(error: Exception) -> str:
    """The short reason of an error: the system's words where there are some, else the first line of h5py's."""
    text = str(error) or type(error).__name__
    in_text = _ERRNO.search(text)
    number = getattr(error, "errno", None) or (int(in_text.group(1)) if in_text else None)
    return os.strerror(number) if number else text.splitlines()[0]


def create(path: Path) -> h5py.File:
    """Makes an HDF5 file whose structure on disk changes only when it is flushed.

    HDF5 writes changed metadata whenever its cache is full, in any order; a process killed between two such writes leaves a
    file that cannot be read. With evictions off the file on disk is, between two flushes, what the last flush left, and only
    image data are appended behind its end. The cache grows by about 100 bytes per image.

    HDF5's own lock is off: whoever writes an episode holds the lock of :mod:`vla_core.episodes.folder`, before the file is one.
    """
    return _without_evictions(h5py.File(path, "w", libver=_FORMAT, locking=False, **_ALIGNMENT))


def open_again(path: Path) -> h5py.File:
    """Opens such a file to go on writing."""
    return _without_evictions(h5py.File(path, "r+", libver=_FORMAT, locking=False, **_ALIGNMENT))


def _without_evictions(file: h5py.File) -> h5py.File:
    cache = file.id.get_mdc_config()
    cache.evictions_enabled = False
    cache.incr_mode = cache.flash_incr_mode = cache.decr_mode = 0  # HDF5 wants its automatic resizing off for that
    file.id.set_mdc_config(cache)
    return file


def reserve(file: h5py.File, size: int) -> None:
    """Takes disk space behind the end of the file, so that a flush of up to ``size`` bytes cannot run out of it [B].

    HDF5 goes on flushing after an error, and leaves a structure that refers to data that are not there.
    """
    os.posix_fallocate(file.id.get_vfd_handle(), file.id.get_filesize(), size)


def close(file: h5py.File) -> None:
    """Closes a file, and gives back what was reserved and not needed."""
    file.flush()
    os.ftruncate(file.id.get_vfd_handle(), file.id.get_filesize())
    file.close()


def abandon(file: h5py.File) -> None:
    """Closes a file without writing anything more to it: on disk it stays what the last successful flush left.

    HDF5 cannot close a file without writing what it still holds, and where that fails it loses count of its objects, up to a
    segmentation fault. So its descriptor is pointed to where all writing succeeds first.
    """
    if not file:
        return
    nowhere = os.open(os.devnull, os.O_RDWR)
    try:
        os.dup2(nowhere, file.id.get_vfd_handle())
    finally:
        os.close(nowhere)
    try:
        file.close()
    except (OSError, RuntimeError):
        file.close()  # the first call says that nowhere cannot be cut to its length; the file is closed for h5py after the second


def sync(path: Path) -> None:
    """Returns when the file's contents are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
