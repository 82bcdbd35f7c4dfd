"""Writing an episode: rows go to disk while they come, and the file gets its name when it is complete."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from vla_core import __version__
from vla_core.episodes import hdf5, schema
from vla_core.episodes.attributes import attributes_at_end, attributes_at_start
from vla_core.episodes.folder import partial_of, publish_episode, reserve_episode
from vla_core.episodes.layout import DatasetSpec, Row, datasets_of, end_row, row_of
from vla_core.episodes.metadata import OUTCOMES, EpisodeMetadata, RecordingSummary
from vla_core.episodes.reader import EpisodeReader
from vla_core.episodes.schema import Attribute, RootAttribute
from vla_core.errors import EpisodeError, choice
from vla_core.observation import Step

FLUSH_PERIOD_S = 0.2  # what a killed process may lose; more would save little: a flush of 20 datasets takes 1.3 ms
_CHUNK_ROWS = 64  # of the low-dimensional datasets
_NODE_BYTES, _NODE_ROWS = 4096, 32  # a node of HDF5's index: at most so large, and at least so full after a split


class Hdf5EpisodeWriter:
    """Writes one episode (port :class:`vla_core.ports.EpisodeWriter`).

    Rows go into ``episode_<number>.hdf5.partial``; :meth:`finish` makes ``episode_<number>.hdf5`` of it. A process killed in
    between leaves a partial file that opens, with at most the last 0.2 s of rows missing; its attribute ``steps`` says how
    many rows are whole. After an error of the disk the partial file stays as the last flush left it, and the writer takes no
    more rows.

    Images are not copied: the arrays of the last step must not change before the next call.
    """

    def __init__(self, folder: Path | str, metadata: EpisodeMetadata, recorder: str | None = None) -> None:
        """Takes the next free number of the folder, which is made if need be.

        Args:
            folder: where the episode goes.
            metadata: what is known now.
            recorder: name and version of the program that records; this package's by default.

        Raises:
            EpisodeError: the folder or the file cannot be written.
        """
        self._embodiment = metadata.embodiment
        self._specs = datasets_of(metadata.embodiment)
        self._rows_per_flush = max(1, int(FLUSH_PERIOD_S * metadata.embodiment.steps.rate_hz))
        self._flush_bytes = _flush_bytes(self._specs, self._rows_per_flush)
        self._pending: list[Row] = []
        self._last: Row | None = None
        self._steps = 0
        self._closed_because = ""
        self._has_partial = True
        self._path = reserve_episode(Path(folder))
        try:
            with hdf5.reported(self.partial_path, "create the file"):
                self._file = hdf5.create(self.partial_path)
            with self._disk("create the datasets"):
                self._begin(
                    attributes_at_start(metadata, recorder or f"vla_core {__version__}", datetime.now(timezone.utc))
                )
        except EpisodeError:
            self.partial_path.unlink(missing_ok=True)  # there is nothing in it
            raise

    @property
    def path(self) -> Path:
        """The file's name when it is finished."""
        return self._path

    @property
    def partial_path(self) -> Path:
        """The file's name until then."""
        return partial_of(self._path)

    def __len__(self) -> int:
        """Rows so far."""
        return self._steps

    def append(self, step: Step) -> None:
        """Adds a row.

        Raises:
            EpisodeError: a stream is missing or has another shape, the step is not younger than the one before, the disk is
                full or cannot be written, or the episode is closed.
        """
        self._require_open()
        if self._last is not None and step.stamp_ns <= self._last[schema.STAMPS]:
            last_ns = self._last[schema.STAMPS]
            raise EpisodeError(
                f"{self._path.name}: expected a step younger than the last one at {last_ns} ns, found {step.stamp_ns} ns"
            )
        self._append_row(row_of(step, self._embodiment))

    def finish(self, outcome: str, summary: RecordingSummary | None = None) -> Path:
        """Adds the embodiment's end steps, completes and checks the file and gives it its name, which is returned.

        Raises:
            EpisodeError: an outcome that is neither ``success`` nor ``failure``, or an episode without steps: the episode stays
                open. Or a file that cannot be written, or does not read back: the partial file stays.
        """
        self._require_open()
        if outcome not in OUTCOMES:
            raise EpisodeError(f"{self._path.name}: expected the outcome {choice(OUTCOMES)}, found '{outcome}'")
        if self._last is None:
            raise EpisodeError(f"{self._path.name}: expected at least one step, found none; discard the episode")
        self._append_end_steps(self._last)
        with self._disk("complete the file"):
            self._flush()
            self._attributes.update(attributes_at_end(outcome, summary or RecordingSummary()))
            hdf5.close(self._file)
            self._closed_because = "it is finished"
            hdf5.sync(self.partial_path)
            EpisodeReader(self.partial_path).close()
            publish_episode(self._path)
            self._has_partial = False
        return self._path

    def discard(self) -> None:
        """Closes and removes the partial file. The file of a finished episode stays.

        Raises:
            EpisodeError: it cannot be removed.
        """
        hdf5.abandon(self._file)
        self._closed_because = self._closed_because or "it was discarded"
        if self._has_partial:  # else its name may be another recorder's by now
            with hdf5.reported(self.partial_path, "remove the file"):
                self.partial_path.unlink(missing_ok=True)
            self._has_partial = False

    def _begin(self, attributes: Mapping[str, Any]) -> None:
        self._datasets = {spec.path: self._create_dataset(spec) for spec in self._specs}
        # The original ACT loader shifts the actions by one step where `sim` is false. Ours are aligned by their time.
        self._file.attrs.update({RootAttribute.SIM: True, RootAttribute.COMPRESS: False})
        self._attributes = self._file[schema.VLA].attrs
        self._attributes.update(attributes)
        self._file.flush()

    def _append_row(self, row: Row) -> None:
        with self._disk(f"write step {self._steps}"):
            for spec in self._specs:
                if spec.is_image:
                    dataset = self._datasets[spec.path]
                    dataset.resize(self._steps + 1, axis=0)
                    # past h5py's selections and HDF5's chunk cache, either of which costs more than the writing itself
                    dataset.id.write_direct_chunk((self._steps, 0, 0, 0), row[spec.path])
            self._pending.append({spec.path: row[spec.path] for spec in self._specs if not spec.is_image})
            self._last = row
            self._steps += 1
            if len(self._pending) >= self._rows_per_flush:
                self._flush()

    def _append_end_steps(self, last: Row) -> None:
        for number in range(1, self._embodiment.steps.end_steps + 1):
            self._append_row(end_row(last, self._embodiment, number * self._embodiment.step_ns))

    def _flush(self) -> None:
        """Writes the pending rows and, only when they are on disk, their count: the rows that it counts are whole."""
        if not self._pending:
            return
        hdf5.reserve(self._file, self._flush_bytes)
        for path in self._pending[0]:
            dataset = self._datasets[path]
            dataset.resize(self._steps, axis=0)
            dataset[-len(self._pending) :] = np.stack([row[path] for row in self._pending])
        self._pending.clear()
        self._file.flush()
        self._attributes.modify(Attribute.STEPS, self._steps)
        self._file.flush()

    def _create_dataset(self, spec: DatasetSpec) -> h5py.Dataset:
        rows = 1 if spec.is_image else _CHUNK_ROWS
        dataset = self._file.create_dataset(
            spec.path,
            shape=(0, *spec.row_shape),
            maxshape=(None, *spec.row_shape),
            dtype=spec.dtype,
            chunks=(rows, *spec.row_shape),
        )
        dataset.attrs.update(spec.attributes)
        return dataset

    def _require_open(self) -> None:
        if self._closed_because:
            raise EpisodeError(f"{self._path.name}: expected an open episode, but {self._closed_because}")

    @contextmanager
    def _disk(self, doing: str) -> Iterator[None]:
        """Around everything that writes: after an error the file is let go of as the last flush left it."""
        try:
            with hdf5.reported(self.partial_path, doing):
                yield
        except EpisodeError:
            hdf5.abandon(self._file)
            self._closed_because = f"it failed to {doing}"
            raise


def _flush_bytes(specs: tuple[DatasetSpec, ...], rows: int) -> int:
    """More than a flush of so many rows can add to the file [B]: chunks of numbers, and nodes of the indices of all chunks."""
    chunks = rows // _CHUNK_ROWS + 2
    data = sum(chunks * _CHUNK_ROWS * spec.row_bytes for spec in specs if not spec.is_image)
    return data + len(specs) * (rows // _NODE_ROWS + 3) * _NODE_BYTES
