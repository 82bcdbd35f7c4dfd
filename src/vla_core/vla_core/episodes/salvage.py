"""Completing an episode whose writer is gone, from its partial file and its journal."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from vla_core.embodiment.schema import Embodiment
from vla_core.episodes import hdf5
from vla_core.episodes.attributes import attributes_at_end
from vla_core.episodes.beside import Beside, NativeSamples, RolloutChunk
from vla_core.episodes.file import EpisodeFile
from vla_core.episodes.journal import JournalContents, JournalRow, checksum_of
from vla_core.episodes.layout import native_streams_of
from vla_core.episodes.metadata import UNKNOWN, RecordingSummary
from vla_core.episodes.pixels import ImageChunk
from vla_core.episodes.reader import EpisodeReader
from vla_core.episodes.schema import Attribute
from vla_core.episodes.tables import TABLES

RowWithImages = tuple[JournalRow, list[ImageChunk]]


def count_whole_rows(rows: Sequence[JournalRow], descriptor: int) -> int:
    """Looks at every image of an open partial file. Returns the number of rows before the first that lacks something."""
    return sum(1 for _ in rows_with_images(rows, descriptor))


def rows_with_images(rows: Sequence[JournalRow], descriptor: int) -> Iterator[RowWithImages]:
    """Reads the images of rows from an open partial file, up to the first that is not what the journal says."""
    for row in rows:
        images = []
        for place in row.images:
            data = os.pread(descriptor, place.size, place.offset)
            if len(data) < place.size or checksum_of(data) != place.checksum:
                return
            images.append(ImageChunk(data, place.skipped, place.length))
        yield row, images


def complete_in_place(partial: Path, embodiment: Embodiment, journal: JournalContents, steps: int, text: str) -> bool:
    """Completes a partial file that HDF5 can read.

    Args:
        partial: the file.
        embodiment: of the episode.
        journal: of the file.
        steps: how many of the journal's rows are whole.
        text: what is done, for the file.

    Returns:
        Whether it was done. If not, HDF5 cannot read the file, or it holds something else than the journal says; it is what
        it was.

    Raises:
        EpisodeError: the disk cannot be read or written.
    """
    opened = _open_matching(partial, embodiment, journal, steps)
    if opened is None:
        return False
    file, beside, pending = opened
    with hdf5.reported(partial, "complete it"):
        try:
            _add(file, journal, pending, beside, text)
        except BaseException:
            file.abandon()
            raise
        _require_good(partial)
    return True


def complete_alone(partial: Path, embodiment: Embodiment, text: str) -> int:
    """Completes a partial file that has no journal, with the rows that it counts. Returns how many there are.

    Raises:
        EpisodeError: HDF5 cannot read it, an image is missing, or the disk cannot be written.
    """
    with hdf5.reported(partial, "complete it"):
        file = EpisodeFile.open_again(partial, embodiment)
        try:
            size = partial.stat().st_size
            for index in range(file.steps):
                if any(offset + length > size for offset, length, _ in file.places_of(index)):
                    raise ValueError(f"step {index}: expected its images, found the end of the file")
            file.trim()
            steps = file.steps
            file.complete({**attributes_at_end(UNKNOWN, RecordingSummary()), Attribute.RECOVERED: text})
        except BaseException:
            file.abandon()
            raise
        _require_good(partial)
    return steps


def rebuild(
    target: Path, embodiment: Embodiment, journal: JournalContents, descriptor: int, steps: int, text: str
) -> None:
    """Makes the file anew, from the journal and the images in the open partial file.

    Raises:
        EpisodeError: the disk cannot be read or written. Nothing stays then.
    """
    with hdf5.reported(target, "make the episode anew"):
        try:
            file = EpisodeFile.create(target, embodiment, journal.attributes)
            try:
                _add(file, journal, rows_with_images(journal.rows[:steps], descriptor), journal.beside, text)
                if file.steps != steps:
                    raise ValueError(f"expected {steps} whole rows, found {file.steps}")
            except BaseException:
                file.abandon()
                raise
            _require_good(target)
        except BaseException:
            target.unlink(missing_ok=True)
            raise


def _open_matching(
    partial: Path, embodiment: Embodiment, journal: JournalContents, steps: int
) -> tuple[EpisodeFile, list[Beside], list[RowWithImages]] | None:
    """Opens a partial file that is what its journal says, so far. Returns it, and what it lacks; else None."""
    try:
        file = EpisodeFile.open_again(partial, embodiment)
    except (OSError, RuntimeError, ValueError, KeyError):
        return None
    try:
        file.trim()
        _require_same_rows(file, journal.rows[:steps])
        beside = _not_in_file(file, embodiment, journal.beside)
        descriptor = os.open(partial, os.O_RDONLY)
        try:  # all of them now: they will be written anew, and may come to lie elsewhere
            pending = list(rows_with_images(journal.rows[file.steps : steps], descriptor))
        finally:
            os.close(descriptor)
    except (OSError, RuntimeError, ValueError, KeyError):
        file.abandon()
        return None
    return file, beside, pending


def _add(
    file: EpisodeFile, journal: JournalContents, rows: Iterable[RowWithImages], beside: Sequence[Beside], text: str
) -> None:
    """Adds rows and what is beside them, and completes the file."""
    if journal.prompts:
        file.set_prompts([str(journal.attributes[Attribute.PROMPT]), *journal.prompts])
    for row, images in rows:
        file.put_row(row.numbers, images)
    for record in beside:
        file.beside.add(record)
    file.complete({**attributes_at_end(UNKNOWN, RecordingSummary()), Attribute.RECOVERED: text})


def _require_good(path: Path) -> None:
    """Brings a complete file to the disk, and reads it back."""
    hdf5.sync(path)
    EpisodeReader(path, locked=True).close()


def _require_same_rows(file: EpisodeFile, rows: Sequence[JournalRow]) -> None:
    """Raises ValueError unless the file holds the first of these rows."""
    if file.steps > len(rows):
        raise ValueError(f"expected at most the {len(rows)} whole rows of the journal, found {file.steps}")
    if file.numbers().tobytes() != b"".join(row.numbers for row in rows[: file.steps]):
        raise ValueError("expected the numbers that the journal has, found others")
    for index in range(file.steps):
        expected = tuple((place.offset, place.size, place.skipped) for place in rows[index].images)
        if file.places_of(index) != expected:
            raise ValueError(f"step {index}: expected the images where the journal has them, found them elsewhere")


def _not_in_file(file: EpisodeFile, embodiment: Embodiment, records: Sequence[Beside]) -> list[Beside]:
    """What is not in the file yet of what was recorded beside the rows. Raises ValueError if the file holds something else."""
    native_counts, chunk_count = file.beside.counts()
    rest: list[Beside] = []
    for name in native_streams_of(embodiment):
        known = _joined(name, embodiment.streams[name].size, records)
        found = file.beside.native(name)
        count = native_counts[name]
        if found.stamps_ns.tobytes() != known.stamps_ns[:count].tobytes() or (
            found.values.tobytes() != known.values[:count].tobytes()
        ):
            raise ValueError(f"expected the native samples of '{name}' that the journal has, found others")
        if count < len(known):
            rest.append(NativeSamples(name, known.stamps_ns[count:], known.receive_ns[count:], known.values[count:]))
    chunks = [record for record in records if isinstance(record, RolloutChunk)]
    rest += chunks[chunk_count:]
    for spec in TABLES:
        rows = [record for record in records if isinstance(record, spec.row)]
        rest += rows[file.beside.tables.count(spec) :]
    return rest


def _joined(name: str, size: int, records: Sequence[Beside]) -> NativeSamples:
    own = [record for record in records if isinstance(record, NativeSamples) and record.stream == name]
    none = NativeSamples(name, np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, size)))
    parts = [none, *own]
    return NativeSamples(
        name,
        np.concatenate([part.stamps_ns for part in parts]),
        np.concatenate([part.receive_ns for part in parts]),
        np.concatenate([part.values for part in parts]),
    )
