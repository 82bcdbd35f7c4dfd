"""The HDF5 file of an episode while rows are added to it."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from vla_core.embodiment.schema import Embodiment
from vla_core.episodes import hdf5, schema
from vla_core.episodes.beside_datasets import BesideDatasets
from vla_core.episodes.journal import ImagePlace, checksum_of
from vla_core.episodes.layout import DatasetSpec, all_jpeg, datasets_of
from vla_core.episodes.pixels import ImageChunk, filters_of
from vla_core.episodes.preallocation import Preallocation, free_space
from vla_core.episodes.rows import RowFormat
from vla_core.episodes.schema import Attribute, RootAttribute

CHUNK_ROWS = 64  # of the datasets of numbers; the most rows that wait for a flush
_NODE_BYTES, _NODE_ROWS = (4096, 32)  # a node of HDF5's index: at most so large, and at least so full after a split
_TEXT_BYTES = 65536  # more than attributes that change take


class EpisodeFile:
    """An episode file that is open for writing.

    Images go to the disk as they come, behind what the last flush left; all else with :meth:`flush`. Raises what h5py raises:
    use :func:`vla_core.episodes.hdf5.reported` around it, and :meth:`abandon` after an error.

    Attributes:
        rows: the numbers of the rows of the current chunk: row ``steps`` belongs to ``rows[steps % CHUNK_ROWS]``.
        steps: rows so far.
        flushed_bytes: size of the file at the last flush [B].
        beside: what is recorded beside the rows.
    """

    def __init__(self, file: h5py.File, embodiment: Embodiment, steps: int = 0) -> None:
        """Around an open file that has all datasets; see :meth:`create` and :meth:`open_again`."""
        self._file = file
        self._specs = datasets_of(embodiment)
        self._format = RowFormat(self._specs)
        self._numbers = [(spec, file[spec.path].id) for spec in self._specs if not spec.is_image]
        self._images = [(spec, file[spec.path].id) for spec in self._specs if spec.is_image]
        self._longest = [file[spec.path].shape[1] for spec, _ in self._images]
        self._count = h5py.h5a.open(file[schema.VLA].id, Attribute.STEPS.encode())
        self._flushed = self.steps = steps
        self.flushed_bytes = file.id.get_filesize()
        self._free_bytes = 0  # of the disk, known to be there for images
        self._ahead = Preallocation(file.id.get_vfd_handle())
        self._prompts: Sequence[str] | None = None
        self._most_flushed_bytes = _most_flushed_bytes(self._specs)
        self.rows = np.zeros(CHUNK_ROWS, self._format.dtype)
        self.beside = BesideDatasets(file, embodiment)

    @classmethod
    def create(cls, path: Path, embodiment: Embodiment, attributes: Mapping[str, Any]) -> EpisodeFile:
        """Makes the file of an episode that begins."""
        file = hdf5.create(path)
        try:
            for spec in datasets_of(embodiment):
                _create_dataset(file, spec)
            # The original ACT loader shifts the actions by one step where `sim` is false. Ours are aligned by their time.
            file.attrs.update({RootAttribute.SIM: True, RootAttribute.COMPRESS: all_jpeg(embodiment)})
            file[schema.VLA].attrs.update(attributes)
            episode = cls(file, embodiment)
            file.flush()
            episode.flushed_bytes = file.id.get_filesize()
        except BaseException:
            hdf5.abandon(file)
            raise
        return episode

    @classmethod
    def open_again(cls, path: Path, embodiment: Embodiment) -> EpisodeFile:
        """Opens a partial file to go on writing. ``rows`` is as it was when the rows that it counts were written."""
        file = hdf5.open_again(path)
        try:
            steps = int(file[schema.VLA].attrs[Attribute.STEPS])
            episode = cls(file, embodiment, steps)
            episode._read_current_chunk()
        except BaseException:
            hdf5.abandon(file)
            raise
        return episode

    @property
    def pending(self) -> bool:
        """Whether anything waits for a flush."""
        return self.steps > self._flushed or self.beside.pending

    @property
    def row(self) -> np.void:
        """The numbers of the row that is added next; they are to be written into it."""
        row: np.void = self.rows[self.steps % CHUNK_ROWS]
        return row

    def take_space(self, images: Sequence[ImageChunk]) -> None:
        """Takes disk space for a row's images.

        Raises OSError (ENOSPC) where, with one row more, the disk might not have what completing the file takes.

        The disk is asked once per flush, and again when that is used up: others may write to it too.
        """
        size = sum(image.size for image in images)
        end = self._file.id.get_filesize()
        if self._free_bytes < size:
            free = free_space(self._file.id.get_vfd_handle()) + self._ahead.behind(end)
            self._free_bytes = free - 2 * self._flush_bytes()
            if self._free_bytes < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._free_bytes -= size
        self._ahead.reach(end, size)

    def add_row(self, images: Sequence[ImageChunk]) -> tuple[ImagePlace, ...]:
        """Adds a row, whose numbers are in :attr:`row`. Returns where its images are."""
        places = tuple(self._add_image(number, chunk) for number, chunk in enumerate(images))
        self.steps += 1
        return places

    def put_row(self, numbers: bytes, images: Sequence[ImageChunk]) -> None:
        """Adds a row as a journal has it, and flushes when that is due."""
        self.rows[self.steps % CHUNK_ROWS] = np.frombuffer(numbers, self.rows.dtype)[0]
        self.add_row(images)
        if self.must_flush:
            self.flush()

    @property
    def must_flush(self) -> bool:
        """Whether a flush is due before the next row: the chunk of numbers is full."""
        return self.steps > self._flushed and self.steps % CHUNK_ROWS == 0

    def set_prompts(self, prompts: Sequence[str]) -> None:
        """All prompts so far; written with the next flush."""
        self._prompts = prompts

    def flush(self) -> None:
        """Writes what waits and, only when it is on disk, the count of rows: the rows that it counts are whole."""
        if not self.pending:
            return
        hdf5.reserve(self._file, self._flush_bytes())
        if self.steps > self._flushed:
            self._flush_numbers()
        self.beside.flush()
        if self._prompts is not None:
            self._file[schema.VLA].attrs[Attribute.PROMPTS] = json.dumps(self._prompts)
            self._prompts = None
        self._file.flush()
        if self.steps > self._flushed:
            self._count.write(np.array(self.steps, dtype=self._count.dtype))
            self._file.flush()
            self._flushed = self.steps
        self.flushed_bytes = self._file.id.get_filesize()
        self._free_bytes = 0
        if self.steps % CHUNK_ROWS == 0:
            self.rows[...] = 0

    def complete(self, attributes: Mapping[str, Any]) -> None:
        """Flushes, adds the attributes that complete the episode, and closes the file."""
        self.flush()
        hdf5.reserve(self._file, self._flush_bytes())
        self._file[schema.VLA].attrs.update(attributes)
        hdf5.close(self._file)

    def abandon(self) -> None:
        """Closes the file without writing anything more to it: on disk it stays what the last successful flush left."""
        hdf5.abandon(self._file)

    def trim(self) -> None:
        """Cuts everything that is not counted: datasets that a flush which was not completed made longer."""
        for spec, dataset in (*self._numbers, *self._images):
            shape = dataset.shape
            wanted = (*shape[:-1], self.steps) if spec.transposed else (self.steps, *shape[1:])
            if shape != wanted:
                dataset.set_extent(wanted)
        self.beside.trim()

    def places_of(self, row: int) -> tuple[tuple[int, int, int], ...]:
        """Offset [B], size [B] and filter mask of the images of a row that was flushed. Raises if one is not there."""
        found = []
        for spec, dataset in self._images:
            info = dataset.get_chunk_info_by_coord((row, *(0 for _ in spec.row_shape)))
            if info.byte_offset is None:
                raise ValueError(f"image {row} of /{spec.path} is missing")
            found.append((int(info.byte_offset), int(info.size), int(info.filter_mask)))
        return tuple(found)

    def numbers(self) -> NDArray[np.void]:
        """The numbers of all rows that were flushed."""
        rows = np.zeros(self._flushed, self._format.dtype)
        for spec, _ in self._numbers:
            self._format.values(rows, spec.path)[...] = _rows_of(self._file, spec, 0, self._flushed)
        return rows

    def _read_current_chunk(self) -> None:
        first = self.steps // CHUNK_ROWS * CHUNK_ROWS
        current = self.rows[: self.steps - first]
        for spec, _ in self._numbers:
            self._format.values(current, spec.path)[...] = _rows_of(self._file, spec, first, self.steps)

    def _add_image(self, number: int, chunk: ImageChunk) -> ImagePlace:
        spec, dataset = self._images[number]
        row = self.steps
        if spec.storage == "jpeg":  # the dataset is as wide as the longest file
            self._longest[number] = max(self._longest[number], chunk.length)
            dataset.set_extent((row + 1, self._longest[number]))
        else:
            dataset.set_extent((row + 1, *spec.row_shape))
        start = (row, *(0 for _ in spec.row_shape))
        # past h5py's selections and HDF5's chunk cache, either of which costs more than the writing itself
        dataset.write_direct_chunk(start, chunk.data, chunk.skipped)
        place = dataset.get_chunk_info_by_coord(start)
        return ImagePlace(place.byte_offset, place.size, chunk.skipped, chunk.length, checksum_of(chunk.data))

    def _flush_numbers(self) -> None:
        """Writes the current chunk of each dataset, over what the flush before wrote of it."""
        first = (self.steps - 1) // CHUNK_ROWS * CHUNK_ROWS
        for spec, dataset in self._numbers:
            values = self._format.values(self.rows, spec.path)
            dataset.set_extent(spec.shape(self.steps))
            if spec.transposed:
                dataset.write_direct_chunk((*(0 for _ in spec.row_shape), first), np.ascontiguousarray(values.T))
            else:
                dataset.write_direct_chunk((first, *(0 for _ in spec.row_shape)), np.ascontiguousarray(values))

    def _flush_bytes(self) -> int:
        """More than a flush can add to the file [B]."""
        return self._most_flushed_bytes + self.beside.pending_bytes


def _most_flushed_bytes(specs: Sequence[DatasetSpec]) -> int:
    """More than a flush can add for the rows [B]: chunks of numbers, nodes of the indices of all chunks, attributes."""
    numbers = sum(CHUNK_ROWS * spec.row_bytes for spec in specs if not spec.is_image)
    nodes = len(specs) * (CHUNK_ROWS // _NODE_ROWS + 3) * _NODE_BYTES
    return numbers + nodes + _TEXT_BYTES


def _create_dataset(file: h5py.File, spec: DatasetSpec) -> None:
    narrow = spec.storage == "jpeg"
    dataset = file.create_dataset(
        spec.path,
        shape=(0, 1) if narrow else spec.shape(0),
        maxshape=spec.shape(None),
        dtype=spec.dtype,
        chunks=spec.shape(1 if spec.is_image else CHUNK_ROWS),
        **filters_of(spec),
    )
    dataset.attrs.update(spec.attributes)


def _rows_of(file: h5py.File, spec: DatasetSpec, start: int, stop: int) -> Any:
    dataset = file[spec.path]
    return dataset[:, start:stop].T if spec.transposed else dataset[start:stop]
