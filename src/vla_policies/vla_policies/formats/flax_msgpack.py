"""Reads what flax and orbax write as one msgpack file: a tree of named arrays. Needs neither of them, nor JAX.

MessagePack says of every value how long it is; flax adds three extension types and a way to split large arrays::

    1  an array:         [shape, name of the dtype, bytes in C order], itself a MessagePack value
    2  a complex number: refused, weights have none
    3  a numpy scalar:   as an array
    {"__msgpack_chunked_array__": true, "shape": {"0": n, ...}, "chunks": {"0": array, "1": array, ...}}

Numbers only: nothing in such a file can be executed. Every length is checked against what is left of the file before anything is
made of it, so a damaged or hostile file costs no memory.
Sources: the MessagePack specification; google/flax, ``flax/serialization.py``.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vla_core.errors import CheckpointError

_DEEPEST = 64  # levels of a tree
_ARRAY, _COMPLEX, _SCALAR = 1, 2, 3
_CHUNKED = "__msgpack_chunked_array__"
_APART = "PLACEHOLDER://"  # what orbax writes for an array that has a folder of its own

_CONSTANTS: dict[int, bool | None] = {0xC0: None, 0xC2: False, 0xC3: True}
_NUMBERS = {
    0xCA: ">f", 0xCB: ">d",
    0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q",
    0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q",
}  # fmt: skip
# head byte to the kind of value and the format of its length
_SIZED = {
    0xC4: ("bin", ">B"), 0xC5: ("bin", ">H"), 0xC6: ("bin", ">I"),
    0xC7: ("ext", ">B"), 0xC8: ("ext", ">H"), 0xC9: ("ext", ">I"),
    0xD9: ("str", ">B"), 0xDA: ("str", ">H"), 0xDB: ("str", ">I"),
    0xDC: ("list", ">H"), 0xDD: ("list", ">I"),
    0xDE: ("map", ">H"), 0xDF: ("map", ">I"),
}  # fmt: skip
# head byte to the kind of value and its length
_FIXED = {
    **{0x80 + size: ("map", size) for size in range(16)},
    **{0x90 + size: ("list", size) for size in range(16)},
    **{0xA0 + size: ("str", size) for size in range(32)},
    **{0xD4 + power: ("ext", 1 << power) for power in range(5)},
}

# numpy has no bfloat16: its bits are read, and named afterwards
_DTYPES = {
    name: name
    for name in ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool")
} | {"bfloat16": "int16"}  # fmt: skip


def read_arrays(path: Path | str) -> dict[str, Tensor]:
    """Reads the arrays of a file by their paths, the names from the root joined with ``/``.

    Raises:
        CheckpointError: the file cannot be read, is not of this format or is damaged, or holds anything but arrays.
    """
    path = Path(path)
    arrays: dict[str, Tensor] = {}
    _flatten(read_tree(path), "", arrays, str(path))
    return arrays


def read_tree(path: Path | str) -> Any:
    """Reads a file as it is: dictionaries, lists, numbers, strings, bytes, and tensors. Raises as :func:`read_arrays`."""
    try:
        data = np.memmap(path, dtype=np.uint8, mode="r").data
    except (OSError, ValueError) as error:  # ValueError: an empty file cannot be mapped
        raise CheckpointError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    reader = _Reader(data, str(path))
    value = reader.value(0)
    reader.require_end()
    return value


def _flatten(tree: object, path: str, arrays: dict[str, Tensor], where: str) -> None:
    if isinstance(tree, Tensor):
        arrays[path] = tree
    elif isinstance(tree, Mapping):
        for name, child in tree.items():
            _flatten(child, f"{path}/{name}" if path else name, arrays, where)
    elif isinstance(tree, str) and tree.startswith(_APART):
        raise CheckpointError(
            f"{where}: {path}: expected the array itself, found that it has a folder of its own; only checkpoints of orbax "
            "that have all arrays in this one file can be read"
        )
    else:
        raise CheckpointError(
            f"{where}: {path or 'the root'}: expected an array or names with arrays, found {_kind(tree)}"
        )


class _Reader:
    """Takes one value after the other from bytes."""

    def __init__(self, data: memoryview, where: str) -> None:
        self._data = data
        self._where = where
        self._at = 0

    def require_end(self) -> None:
        if self._at != len(self._data):
            raise self._error(f"{len(self._data) - self._at} bytes more than its value has")

    def value(self, depth: int) -> Any:
        if depth > _DEEPEST:
            raise self._error(f"more than {_DEEPEST} levels")
        head = self._take(1)[0]
        if head < 0x80:
            return head
        if head >= 0xE0:
            return head - 0x100
        if head in _CONSTANTS:
            return _CONSTANTS[head]
        if head in _NUMBERS:
            return self._number(_NUMBERS[head])
        if head in _FIXED:
            return self._sized(*_FIXED[head], depth)
        if head in _SIZED:
            kind, length = _SIZED[head]
            return self._sized(kind, int(self._number(length)), depth)
        raise self._error(f"the byte 0x{head:02x}, which begins no value,")

    def _sized(self, kind: str, size: int, depth: int) -> Any:
        if kind == "bin":
            return bytes(self._take(size))
        if kind == "str":
            try:
                return str(self._take(size), "utf-8")
            except UnicodeDecodeError:
                raise self._error("a text that is not UTF-8") from None
        if kind == "ext":
            return self._extension(int(self._number(">b")), self._take(size), depth)
        self._require_left(size if kind == "list" else 2 * size)  # each element has one byte at least
        if kind == "list":
            return [self.value(depth + 1) for _ in range(size)]
        return self._map(size, depth)

    def _map(self, size: int, depth: int) -> Any:
        entries: dict[str, Any] = {}
        for _ in range(size):
            name = self.value(depth + 1)
            if not isinstance(name, str) or name in entries:
                raise self._error(f"the key {name!r:.40} in a dictionary, where names are expected, each once,")
            entries[name] = self.value(depth + 1)
        return self._joined(entries) if entries.get(_CHUNKED) is True else entries

    def _extension(self, code: int, payload: memoryview, depth: int) -> Tensor:
        if code not in (_ARRAY, _SCALAR):
            what = "a complex number" if code == _COMPLEX else f"the extension type {code}"
            raise self._error(what)
        parts = _Parts(payload, self._where).parts(depth)
        if parts is None:
            raise self._error("an array without shape, dtype and bytes")
        shape, name, raw = parts
        if name not in _DTYPES:
            raise self._error(f"an array of {name!r:.40} (expected one of {', '.join(_DTYPES)})")
        dtype = np.dtype(_DTYPES[name]).newbyteorder("<")
        if len(raw) != math.prod(shape) * dtype.itemsize:
            raise self._error(f"{len(raw)} bytes for an array of {name} with the shape {shape}")
        native = np.frombuffer(raw, dtype).astype(dtype.newbyteorder("="), copy=True)
        tensor = torch.from_numpy(native).reshape(shape)
        return tensor.view(torch.bfloat16) if name == "bfloat16" else tensor

    def _joined(self, entries: Mapping[str, Any]) -> Tensor:
        """The array that was split into these."""
        shape, chunks = _in_order(entries.get("shape")), _in_order(entries.get("chunks"))
        if (
            shape is None
            or not _is_shape(shape)
            or not chunks
            or not all(isinstance(chunk, Tensor) for chunk in chunks)
        ):
            raise self._error("a split array without shape or chunks")
        if len({chunk.dtype for chunk in chunks}) != 1 or sum(chunk.numel() for chunk in chunks) != math.prod(shape):
            raise self._error(f"a split array whose chunks do not make up its shape {tuple(shape)}")
        return torch.cat([chunk.flatten() for chunk in chunks]).reshape(tuple(shape))

    def _number(self, layout: str) -> float:
        number: float = struct.unpack(layout, self._take(struct.calcsize(layout)))[0]
        return number

    def _take(self, size: int) -> memoryview:
        self._require_left(size)
        self._at += size
        return self._data[self._at - size : self._at]

    def _require_left(self, size: int) -> None:
        left = len(self._data) - self._at
        if size > left:
            raise self._error(f"its end {size - left} bytes too early")

    def _error(self, found: str) -> CheckpointError:
        return CheckpointError(
            f"{self._where}: expected a whole msgpack file of flax, found {found} at byte {self._at}"
        )


class _Parts(_Reader):
    """Of an array's extension, whose bytes are not copied twice."""

    def parts(self, depth: int) -> tuple[tuple[int, ...], str, memoryview] | None:
        """Shape, name of the dtype, and bytes; None if it is something else."""
        if self._take(1)[0] != 0x93:  # a list of three
            return None
        shape, name = self.value(depth + 1), self.value(depth + 1)
        kind, length = _SIZED.get(self._take(1)[0], ("", ">B"))
        if kind != "bin" or not isinstance(name, str) or not _is_shape(shape):
            return None
        raw = self._take(int(self._number(length)))
        self.require_end()
        return tuple(shape), name, raw


def _is_shape(shape: object) -> bool:
    """Whether it is a list of whole numbers of at least 0."""
    return isinstance(shape, list) and all(type(size) is int and size >= 0 for size in shape)


def _in_order(numbered: object) -> list[Any] | None:
    """The values of a dictionary with the keys "0", "1" ...; None if it is something else."""
    if not isinstance(numbered, dict) or set(numbered) != {str(index) for index in range(len(numbered))}:
        return None
    return [numbered[str(index)] for index in range(len(numbered))]


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
