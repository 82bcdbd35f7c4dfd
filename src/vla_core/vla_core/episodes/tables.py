"""Tables of an episode file, which grow while it is recorded and which not every episode has: ``/vla/ledger``, ``/vla/states``.

A table is a group with a dataset for each column. Of a column of texts there are numbers, and a JSON list in the attributes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from vla_core.chunk_times import STATIONS, ChunkTimes
from vla_core.episodes.beside import CommandState

_CHUNK = 64  # rows
_NODE_BYTES = 4096
_MOST_TEXTS, _LONGEST_TEXT = 60, 150  # of a column; further ones are not kept, longer ones are cut
_NO_ROOM = "..."

Row = ChunkTimes | CommandState


@dataclass(frozen=True)
class TableSpec:
    """A kind of rows.

    Attributes:
        group: in the file.
        row: what a row is; its fields are the columns.
        numbers: columns of numbers, with their types.
        texts: columns of texts.
        flags: columns of yes and no.
    """

    group: str
    row: type[Row]
    numbers: Mapping[str, str]
    texts: tuple[str, ...]
    flags: tuple[str, ...] = ()

    @property
    def dtypes(self) -> Mapping[str, str]:
        """Of all datasets; those of texts hold places in their list."""
        return {**self.numbers, **dict.fromkeys(self.texts, "uint32"), **dict.fromkeys(self.flags, "uint8")}


LEDGER = TableSpec("vla/ledger", ChunkTimes, {"sequence": "uint64", **dict.fromkeys(STATIONS, "int64")}, ("policy_id",))
STATES = TableSpec("vla/states", CommandState, {"stamp_ns": "int64"}, ("state", "message"), ("intervention",))
TABLES = (LEDGER, STATES)


def table_of(row: Row) -> TableSpec:
    """Which table a row belongs to."""
    return next(spec for spec in TABLES if isinstance(row, spec.row))


class Tables:
    """Collects rows and appends them to the tables of an open file when it is flushed; a table comes with its first row."""

    def __init__(self, file: h5py.File) -> None:
        self._file = file
        self._rows: dict[str, list[Row]] = {spec.group: [] for spec in TABLES}

    def add(self, row: Row) -> None:
        self._rows[table_of(row).group].append(row)

    @property
    def pending(self) -> bool:
        return any(self._rows.values())

    @property
    def pending_bytes(self) -> int:
        """More than a flush can add to the file [B]."""
        total = 0
        for spec in TABLES:
            if rows := self._rows[spec.group]:
                blocks = len(rows) // _CHUNK + 2
                texts = sum(len(str(getattr(row, name))) + 8 for row in rows for name in spec.texts)
                total += blocks * len(spec.dtypes) * (8 * _CHUNK + 3 * _NODE_BYTES) + 6 * texts + 4 * _NODE_BYTES
        return total

    def count(self, spec: TableSpec) -> int:
        """Rows that are whole in the file."""
        if spec.group not in self._file:
            return 0
        return min(int(self._file[f"{spec.group}/{name}"].shape[0]) for name in spec.dtypes)

    def trim(self) -> None:
        """Cuts what a flush that was not completed left."""
        for spec in TABLES:
            if spec.group in self._file:
                count = self.count(spec)
                for name in spec.dtypes:
                    self._file[f"{spec.group}/{name}"].resize(count, axis=0)

    def flush(self) -> None:
        """Appends what was collected."""
        for spec in TABLES:
            if rows := self._rows[spec.group]:
                self._append(spec, rows)
                self._rows[spec.group] = []

    def _append(self, spec: TableSpec, rows: list[Row]) -> None:
        if spec.group not in self._file:
            group = self._file.create_group(spec.group)
            group.attrs.update({_list_of(name): "[]" for name in spec.texts})
            for name, dtype in spec.dtypes.items():
                group.create_dataset(name, shape=(0,), maxshape=(None,), dtype=dtype, chunks=(_CHUNK,))
        group = self._file[spec.group]
        for name in (*spec.numbers, *spec.flags):
            _extend(group[name], [getattr(row, name) for row in rows])
        for name in spec.texts:
            known = json.loads(group.attrs[_list_of(name)])
            texts, places = _interned(known, [getattr(row, name) for row in rows])
            if texts != known:
                group.attrs[_list_of(name)] = json.dumps(texts)
            _extend(group[name], places)


def read_table(file: h5py.File, spec: TableSpec) -> Iterator[Any]:
    """The rows of a table, in order; none where the file does not have it."""
    if spec.group not in file:
        return
    group = file[spec.group]
    columns = {name: group[name][:].tolist() for name in spec.dtypes}
    for name in spec.texts:
        texts = json.loads(group.attrs[_list_of(name)])
        columns[name] = [texts[index] for index in columns[name]]
    for name in spec.flags:
        columns[name] = [bool(value) for value in columns[name]]
    for values in zip(*columns.values(), strict=True):
        yield spec.row(**dict(zip(columns, values, strict=True)))


def table_problems(file: h5py.File) -> list[str]:
    """What is missing in the tables of a file, or has another shape."""
    problems = []
    for spec in TABLES:
        if spec.group not in file:
            continue
        first = file[spec.group].get(next(iter(spec.dtypes)))
        count = len(first) if isinstance(first, h5py.Dataset) and first.ndim else 0
        for name, dtype in spec.dtypes.items():
            dataset = file[spec.group].get(name)
            if not isinstance(dataset, h5py.Dataset):
                problems.append(f"/{spec.group}/{name}: missing")
            elif dataset.shape != (count,) or dataset.dtype != dtype:
                expected = f"expected {dtype} of shape {(count,)}"
                problems.append(f"/{spec.group}/{name}: {expected}, found {dataset.dtype} of shape {dataset.shape}")
    return problems


def _list_of(text: str) -> str:
    return f"{text}s"


def _interned(known: list[str], given: list[str]) -> tuple[list[str], list[int]]:
    """The list with the new texts in it, and where each of the given ones is. An attribute of HDF5 has room for 64 KiB."""
    texts, places = list(known), []
    for text in (one[:_LONGEST_TEXT] for one in given):
        if text not in texts and len(texts) >= _MOST_TEXTS:
            text = _NO_ROOM
        if text not in texts:
            texts.append(text)
        places.append(texts.index(text))
    return texts, places


def _extend(dataset: h5py.Dataset, values: list[Any]) -> None:
    dataset.resize(len(dataset) + len(values), axis=0)
    dataset[len(dataset) - len(values) :] = np.array(values, dtype=dataset.dtype)
