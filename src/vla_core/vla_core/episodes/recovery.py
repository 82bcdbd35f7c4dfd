"""Making finished episodes of the partial files that a recorder left behind."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

import h5py

from vla_core.embodiment.schema import Embodiment
from vla_core.episodes import hdf5, schema
from vla_core.episodes.attributes import embodiment_from
from vla_core.episodes.folder import (
    DAMAGED,
    EpisodeLock,
    journal_of,
    list_lone_journals,
    list_partials,
    partial_of,
    publish_episode,
    reserve_episode,
)
from vla_core.episodes.journal import JournalContents, read_journal
from vla_core.episodes.reader import EpisodeReader
from vla_core.episodes.salvage import complete_alone, complete_in_place, count_whole_rows, rebuild
from vla_core.errors import EpisodeError

_REBUILT = ".rebuilt"


@dataclass(frozen=True)
class Recovery:
    """What was done with a partial file.

    Attributes:
        path: the finished episode that it became; None if there was nothing whole in it.
        steps: its rows.
        text: what was done, in one line.
    """

    path: Path | None
    steps: int
    text: str


def recover_folder(folder: Path | str) -> tuple[str, ...]:
    """Recovers every partial file of a folder that nobody is writing.

    Returns:
        What was done with each, one line each; also why something could not be recovered: then it is left as it is.

    Raises:
        EpisodeError: there is no such folder, or it cannot be read.
    """
    lines = []
    for partial in list_partials(Path(folder)):
        try:
            recovery = recover_partial(partial)
        except EpisodeError as error:
            lines.append(f"{partial.name}: not recovered, and left as it is: {error}")
        else:
            lines += [recovery.text] if recovery else []
    for journal in list_lone_journals(Path(folder)):
        with contextlib.suppress(OSError):  # nobody needs it, and the disk may be read-only
            journal.unlink()
    return tuple(lines)


def recover_partial(partial: Path) -> Recovery | None:
    """Makes a finished episode of the whole rows of a partial file; its outcome is ``unknown``.

    What the journal has of them is compared with the file. Where HDF5 can read it, the file is completed as it is; else a new
    one is made. A row whose images are not what the journal says ends the episode before it. A file of which nothing can be read
    is renamed to ``*.damaged``, one without a whole row is removed.

    Returns:
        What was done; None if the file is being written, or gone.

    Raises:
        EpisodeError: the disk cannot be read or written; the files stay as they are.
    """
    with hdf5.reported(partial, "recover it"):
        lock = EpisodeLock.of_partial(partial)
        if lock is None:
            return None
        try:
            return _recover(partial, lock.descriptor)
        finally:
            lock.release()


def _recover(partial: Path, descriptor: int) -> Recovery:
    path = partial.with_suffix("")
    steps = _steps_if_complete(partial)
    if steps is not None:
        return _name_complete(path, partial, steps)
    journal = read_journal(journal_of(path))
    if journal is None:
        return _recover_without_journal(path, partial)
    if not journal.rows:
        return _remove(path, partial)
    whole = count_whole_rows(journal.rows, descriptor)
    if not whole:
        return _set_aside(path, partial, f"none of its {len(journal.rows)} steps is whole")
    return _recover_with_journal(path, partial, descriptor, journal, whole)


def _recover_with_journal(path: Path, partial: Path, descriptor: int, journal: JournalContents, steps: int) -> Recovery:
    embodiment = embodiment_from(journal.attributes, str(journal_of(path)))
    text = f"recovered {steps} steps of a recording that was cut off"
    if steps < len(journal.rows):
        text += f"; the last {len(journal.rows) - steps} were not whole"
    if complete_in_place(partial, embodiment, journal, steps, text):
        published = _publish(path, partial)
    else:
        rebuilt = path.with_name(path.name + _REBUILT)
        rebuild(rebuilt, embodiment, journal, descriptor, steps, text)
        published = _publish(path, rebuilt)
        partial.unlink()
    journal_of(path).unlink(missing_ok=True)
    return Recovery(published, steps, f"{published.name}: {text}")


def _recover_without_journal(path: Path, partial: Path) -> Recovery:
    """As before there were journals, or where somebody took only the partial file along."""
    text = "recovered without its journal from a recording that was cut off"
    if partial.stat().st_size == 0:
        return _remove(path, partial)
    try:
        counted, embodiment = _counted_rows(partial)
        if counted == 0:
            return _remove(path, partial)
        steps = complete_alone(partial, embodiment, text)
    except EpisodeError as error:
        return _set_aside(path, partial, str(error))
    published = _publish(path, partial)
    return Recovery(published, steps, f"{published.name}: {steps} steps, {text}")


def _counted_rows(partial: Path) -> tuple[int, Embodiment]:
    """How many rows a partial file counts, and its embodiment. Raises EpisodeError."""
    with hdf5.reported(partial, "read it"), h5py.File(partial, "r", locking=False) as file:
        attributes = dict(file[schema.VLA].attrs)
        return int(attributes[schema.Attribute.STEPS]), embodiment_from(attributes, str(partial))


def _steps_if_complete(partial: Path) -> int | None:
    """The rows of a partial file that lacks nothing but its name; None if it is not one."""
    try:
        with EpisodeReader(partial, locked=True) as episode:
            return len(episode)
    except EpisodeError:
        return None


def _name_complete(path: Path, partial: Path, steps: int) -> Recovery:
    if path.exists() and os.path.samestat(path.stat(), partial.stat()):
        partial.unlink()  # it has two names: its writer was killed before it removed the first
        published = path
    else:
        published = _publish(path, partial)
    journal_of(path).unlink(missing_ok=True)
    return Recovery(published, steps, f"{published.name}: it was complete, and has its name now")


def _publish(path: Path, complete: Path) -> Path:
    """Gives a complete file its name, or the next free one of the folder if somebody else has it."""
    if not path.exists():
        publish_episode(path, complete)
        return path
    other, lock = reserve_episode(path.parent)
    try:
        os.replace(complete, partial_of(other))
        publish_episode(other)
    finally:
        lock.release()
    return other


def _remove(path: Path, partial: Path) -> Recovery:
    journal_of(path).unlink(missing_ok=True)
    partial.unlink()
    return Recovery(None, 0, f"{partial.name}: held no whole step; removed")


def _set_aside(path: Path, partial: Path, reason: str) -> Recovery:
    """Renames what cannot be read, so that its number is free and nobody tries it again."""
    damaged = path.with_name(path.name + DAMAGED)
    number = 1
    while damaged.exists():
        number += 1
        damaged = path.with_name(f"{path.name}{DAMAGED}-{number}")
    if journal_of(path).exists():
        os.rename(journal_of(path), damaged.with_name(damaged.name + ".journal"))
    os.rename(partial, damaged)
    return Recovery(None, 0, f"{partial.name}: nothing whole can be read ({reason}); kept as {damaged.name}")
