"""Parquet tables as lerobot writes and reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from vla_recorder.formats.conversion import FormatError


class TableWriter:
    """Appends tables of one schema to a parquet file, each as a row group of its own."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._writer: pq.ParquetWriter | None = None

    def add(self, table: pa.Table) -> None:
        if self._writer is None:
            self._writer = pq.ParquetWriter(self.path, table.schema, compression="snappy", use_dictionary=True)
        self._writer.write_table(table)

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def column(values: NDArray[Any], feature: Mapping[str, Any]) -> pa.Array:
    """A feature's column: numbers (T,) for the shape (1,), else lists of a fixed length from (T, n)."""
    kind = pa.from_numpy_dtype(np.dtype(feature["dtype"]))
    (size,) = feature["shape"]
    flat = np.ascontiguousarray(values, dtype=feature["dtype"]).reshape(-1)
    array = pa.array(flat, type=kind)
    return array if size == 1 else pa.FixedSizeListArray.from_arrays(array, size)


def image_column(images: Sequence[bytes]) -> pa.Array:
    """A column of images as files, the way the library ``datasets`` keeps them."""
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.array([{"bytes": image, "path": None} for image in images], type=kind)


def tasks_table(tasks: Sequence[str]) -> pa.Table:
    """The tasks with their numbers, so that pandas takes the texts as the index, which is what lerobot looks them up by."""
    table = pa.table({"task_index": pa.array(range(len(tasks)), pa.int64()), "task": pa.array(tasks, pa.string())})
    columns = [_pandas_column("task_index", "int64", "int64"), _pandas_column("task", "unicode", "object")]
    index = {"name": None, "field_name": None, "pandas_type": "unicode", "numpy_type": "object", "metadata": None}
    metadata = {
        "index_columns": ["task"],
        "column_indexes": [index],
        "columns": columns,
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.0.0",
    }
    return table.replace_schema_metadata({"pandas": json.dumps(metadata)})


def read_table(path: Path, episode: int | None = None) -> pa.Table:
    """A table, or only the rows of one episode.

    Raises:
        FormatError: there is no such file, or it is broken.
    """
    try:
        filters = None if episode is None else [("episode_index", "=", episode)]
        return pq.ParquetFile(path).read() if filters is None else pq.read_table(path, filters=filters)
    except (OSError, pa.ArrowException) as error:
        raise FormatError(f"{path}: expected a parquet table: {error}") from error


def column_of_files(paths: Sequence[Path], name: str) -> NDArray[Any]:
    """A column of several tables, behind each other."""
    return np.concatenate([numbers(pq.ParquetFile(path).read(columns=[name]), name, path) for path in paths])


def numbers(table: pa.Table, name: str, where: Path) -> NDArray[Any]:
    """A column as an array: (T,) of numbers, (T, n) of lists.

    Raises:
        FormatError: no such column, or lists of several lengths.
    """
    if name not in table.column_names:
        raise FormatError(f"{where}: expected the column '{name}', found {table.column_names}")
    values = table[name].combine_chunks()
    kind = values.type
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind) or pa.types.is_large_list(kind):
        flat = values.flatten().to_numpy(zero_copy_only=False)
        if len(values) == 0 or len(flat) % len(values):
            raise FormatError(f"{where}: column '{name}': expected lists of one length, found {len(flat)} numbers")
        return np.asarray(flat).reshape(len(values), -1)
    return np.asarray(values.to_numpy(zero_copy_only=False))


def _pandas_column(name: str, pandas_type: str, numpy_type: str) -> dict[str, Any]:
    return {
        "name": name,
        "field_name": name,
        "pandas_type": pandas_type,
        "numpy_type": numpy_type,
        "metadata": None,
    }
