"""The datasets of what is recorded beside the rows: ``/vla/native``, ``/vla/rollout``, and the tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from vla_core.embodiment.schema import Embodiment
from vla_core.episodes import schema
from vla_core.episodes.beside import Beside, NativeSamples, RolloutChunk
from vla_core.episodes.beside_reader import read_native
from vla_core.episodes.layout import ROLLOUT_DTYPES, native_streams_of
from vla_core.episodes.schema import DatasetAttribute, RolloutAttribute, RolloutDataset
from vla_core.episodes.tables import Tables
from vla_core.errors import EpisodeError

_NATIVE_CHUNK, _ROLLOUT_CHUNK = 1024, 64  # rows
_NODE_BYTES = 4096


class BesideDatasets:
    """Collects records and appends them to the datasets of an open file when it is flushed."""

    def __init__(self, file: h5py.File, embodiment: Embodiment) -> None:
        """Makes the datasets of the native streams, unless the file has them; those of a rollout come with its first chunk."""
        self._file = file
        self._embodiment = embodiment
        self._samples: dict[str, list[NativeSamples]] = {name: [] for name in native_streams_of(embodiment)}
        self._chunks: list[RolloutChunk] = []
        self._policies: list[str] = []
        self._strategies: list[str] = []
        self.tables = Tables(file)
        for name in self._samples:
            if schema.native(name, schema.VALUE) not in file:
                self._create_native(name)
        if schema.ROLLOUT in file:
            attributes = file[schema.ROLLOUT].attrs
            self._policies = json.loads(attributes[RolloutAttribute.POLICY_IDS])
            self._strategies = json.loads(attributes[RolloutAttribute.STRATEGIES])

    def check(self, record: Beside) -> None:
        """Raises EpisodeError if a record does not fit the embodiment."""
        if isinstance(record, RolloutChunk):
            expected, actions = self._embodiment.action_names, record.chunk.actions
            if record.chunk.names != expected or actions.ndim != 2 or actions.shape[1] != len(expected):
                raise EpisodeError(
                    f"chunk {record.chunk.sequence}: expected actions of {list(expected)}, "
                    f"found {list(record.chunk.names)} in an array of shape {actions.shape}"
                )
            return
        if not isinstance(record, NativeSamples):
            return
        if record.stream not in self._samples:
            raise EpisodeError(
                f"native samples: expected a stream of {list(self._samples)} (native: true), found '{record.stream}'"
            )
        shape = (len(record.stamps_ns), self._embodiment.streams[record.stream].size)
        if record.values.shape != shape or len(record.receive_ns) != shape[0]:
            raise EpisodeError(
                f"native samples of '{record.stream}': expected values of shape {shape} and as many times of arrival, "
                f"found {record.values.shape} and {len(record.receive_ns)}"
            )

    def add(self, record: Beside) -> None:
        """Takes a record; it is in the file after the next flush."""
        if isinstance(record, RolloutChunk):
            self._chunks.append(record)
        elif not isinstance(record, NativeSamples):
            self.tables.add(record)
        else:
            self._samples[record.stream].append(record)

    @property
    def pending(self) -> bool:
        """Whether anything waits for a flush."""
        return bool(self._chunks) or any(self._samples.values()) or self.tables.pending

    @property
    def pending_bytes(self) -> int:
        """More than a flush can add to the file [B]."""
        total = self.tables.pending_bytes
        for name, records in self._samples.items():
            count = sum(len(record) for record in records)
            row_bytes = 8 * (2 + self._embodiment.streams[name].size)
            total += (count // _NATIVE_CHUNK + 2) * (_NATIVE_CHUNK * row_bytes + 3 * 3 * _NODE_BYTES)
        if self._chunks:
            horizon = max(len(record.chunk.actions) for record in self._chunks)
            row_bytes = 8 * (len(ROLLOUT_DTYPES) + horizon * len(self._embodiment.action_names))
            blocks = len(self._chunks) // _ROLLOUT_CHUNK + 2
            total += 2 * blocks * (_ROLLOUT_CHUNK * row_bytes + 3 * (len(ROLLOUT_DTYPES) + 1) * _NODE_BYTES)
        return total

    def counts(self) -> tuple[Mapping[str, int], int]:
        """Samples of each native stream, and chunks, that are whole in the file."""
        leaves = (schema.STAMP_NS, schema.RECEIVE_NS, schema.VALUE)
        native = {
            name: min(self._file[schema.native(name, leaf)].shape[0] for leaf in leaves) for name in self._samples
        }
        if schema.ROLLOUT not in self._file:
            return native, 0
        group = self._file[schema.ROLLOUT]
        return native, min(group[leaf].shape[0] for leaf in (*ROLLOUT_DTYPES, RolloutDataset.ACTIONS))

    def native(self, name: str) -> NativeSamples:
        """The samples of a native stream that are in the file."""
        return read_native(self._file, name)

    def trim(self) -> None:
        """Cuts what a flush that was not completed left: datasets that belong together get the same length."""
        self.tables.trim()
        native, chunks = self.counts()
        for name, count in native.items():
            for leaf in (schema.STAMP_NS, schema.RECEIVE_NS, schema.VALUE):
                self._file[schema.native(name, leaf)].resize(count, axis=0)
        if schema.ROLLOUT in self._file:
            for leaf in (*ROLLOUT_DTYPES, RolloutDataset.ACTIONS):
                self._file[schema.rollout(leaf)].resize(chunks, axis=0)

    def flush(self) -> None:
        """Appends what was collected."""
        self.tables.flush()
        for name, records in self._samples.items():
            if records:
                self._append(schema.native(name, schema.STAMP_NS), [record.stamps_ns for record in records])
                self._append(schema.native(name, schema.RECEIVE_NS), [record.receive_ns for record in records])
                self._append(schema.native(name, schema.VALUE), [record.values for record in records])
                records.clear()
        if self._chunks:
            self._flush_chunks(self._chunks)
            self._chunks = []

    def _append(self, path: str, arrays: Sequence[NDArray[Any]]) -> None:
        values = np.concatenate(arrays)
        dataset = self._file[path]
        dataset.resize(len(dataset) + len(values), axis=0)
        dataset[len(dataset) - len(values) :] = values

    def _flush_chunks(self, records: Sequence[RolloutChunk]) -> None:
        longest = max(len(record.chunk.actions) for record in records)
        if schema.ROLLOUT not in self._file:
            self._create_rollout(longest)
        for leaf, column in self._rollout_columns(records).items():
            self._append(schema.rollout(leaf), [np.array(column, dtype=ROLLOUT_DTYPES[leaf])])
        actions = self._file[schema.rollout(RolloutDataset.ACTIONS)]
        first = len(actions)
        actions.resize(max(longest, actions.shape[1]), axis=1)
        actions.resize(first + len(records), axis=0)
        for number, record in enumerate(records, start=first):
            actions[number, : len(record.chunk.actions)] = record.chunk.actions

    def _rollout_columns(self, records: Sequence[RolloutChunk]) -> dict[str, list[int]]:
        known = (len(self._policies), len(self._strategies))
        chunks = [record.chunk for record in records]
        columns = {
            RolloutDataset.OBSERVATION_NS: [chunk.observation_ns for chunk in chunks],
            RolloutDataset.START_NS: [chunk.start_ns for chunk in chunks],
            RolloutDataset.STEP_NS: [chunk.step_ns for chunk in chunks],
            RolloutDataset.RECEIVE_NS: [record.receive_ns for record in records],
            RolloutDataset.LATENCY_NS: [chunk.inference_latency_ns for chunk in chunks],
            RolloutDataset.SEQUENCE: [chunk.sequence for chunk in chunks],
            RolloutDataset.SHADOW: [int(record.shadow) for record in records],
            RolloutDataset.HORIZON: [len(chunk.actions) for chunk in chunks],
            RolloutDataset.POLICY_INDEX: [_index_of(chunk.policy_id, self._policies) for chunk in chunks],
            RolloutDataset.STRATEGY_INDEX: [_index_of(record.strategy, self._strategies) for record in records],
        }
        if known != (len(self._policies), len(self._strategies)):
            attributes = self._file[schema.ROLLOUT].attrs
            attributes[RolloutAttribute.POLICY_IDS] = json.dumps(self._policies)
            attributes[RolloutAttribute.STRATEGIES] = json.dumps(self._strategies)
        return columns

    def _create_native(self, name: str) -> None:
        stream = self._embodiment.streams[name]
        references = tuple(f"{name}.{field}" for field in stream.fields)
        for leaf in (schema.STAMP_NS, schema.RECEIVE_NS):
            self._create(schema.native(name, leaf), "int64", _NATIVE_CHUNK)
        values = self._create(schema.native(name, schema.VALUE), "float64", _NATIVE_CHUNK, stream.size)
        values.attrs[DatasetAttribute.NAMES] = json.dumps(self._embodiment.names_of(references))
        values.attrs[DatasetAttribute.UNITS] = json.dumps(self._embodiment.units_of(references))

    def _create_rollout(self, horizon: int) -> None:
        for leaf, dtype in ROLLOUT_DTYPES.items():
            self._create(schema.rollout(leaf), dtype, _ROLLOUT_CHUNK)
        size = len(self._embodiment.action_names)
        actions = self._file.create_dataset(
            schema.rollout(RolloutDataset.ACTIONS),
            shape=(0, horizon, size),
            maxshape=(None, None, size),
            dtype="float64",
            chunks=(_ROLLOUT_CHUNK, horizon, size),
            fillvalue=np.nan,
        )
        actions.attrs[DatasetAttribute.NAMES] = json.dumps(self._embodiment.action_names)
        actions.attrs[DatasetAttribute.UNITS] = json.dumps(self._embodiment.action_units)

    def _create(self, path: str, dtype: str, chunk: int, *row_shape: int) -> h5py.Dataset:
        return self._file.create_dataset(
            path, shape=(0, *row_shape), maxshape=(None, *row_shape), dtype=dtype, chunks=(chunk, *row_shape)
        )


def _index_of(name: str, names: list[str]) -> int:
    if name not in names:
        names.append(name)
    return names.index(name)
