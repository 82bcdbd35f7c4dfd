"""Weights of a Hugging Face folder: one safetensors file, or several with an index of what is in which."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from torch import Tensor

from vla_core.errors import CheckpointError
from vla_policies.formats.json_file import read_json
from vla_policies.weights import read_weights

WHOLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"


def has_shards(folder: Path) -> bool:
    """Whether the folder has weights of this kind."""
    return (folder / WHOLE_FILE).is_file() or (folder / INDEX_FILE).is_file()


def shard_files(folder: Path) -> list[Path]:
    """The files that hold the weights, in order.

    Raises:
        CheckpointError: there are none, or the index is damaged.
    """
    if (folder / INDEX_FILE).is_file():
        return [folder / name for name in sorted(set(_index(folder).values()))]
    if (folder / WHOLE_FILE).is_file():
        return [folder / WHOLE_FILE]
    found = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else "no folder"
    raise CheckpointError(f"{folder}: expected {WHOLE_FILE} or {INDEX_FILE}, found {found}")


def read_shards(folder: Path) -> dict[str, Tensor]:
    """Reads all weights of a folder onto the processor.

    Raises:
        CheckpointError: a file is missing or damaged, or does not hold what the index says.
    """
    files = shard_files(folder)
    if not (folder / INDEX_FILE).is_file():
        return read_weights(files[0])
    index = _index(folder)
    weights: dict[str, Tensor] = {}
    for file in files:
        found = read_weights(file)
        _require_same({name for name, where in index.items() if where == file.name}, found, file)
        weights |= found
    return weights


def _index(folder: Path) -> dict[str, str]:
    """Tensor to the name of its file, which is a file of the folder: an index does not lead to files elsewhere."""
    path = folder / INDEX_FILE
    index = read_json(path).get("weight_map")
    if not isinstance(index, dict) or not index:
        raise CheckpointError(f"{path}: weight_map: expected names of tensors and their files, found {index!r:.80}")
    wrong = [where for where in index.values() if not isinstance(where, str) or where != Path(where).name]
    if wrong:
        raise CheckpointError(f"{path}: weight_map: expected files of this folder, found {wrong[0]!r}")
    return index


def _require_same(expected: set[str], found: Iterable[str], file: Path) -> None:
    found = set(found)
    if found != expected:
        missing, more = sorted(expected - found)[:3], sorted(found - expected)[:3]
        raise CheckpointError(
            f"{file}: expected the {len(expected)} tensors that {INDEX_FILE} names; missing {missing}, unexpected {more}"
        )
