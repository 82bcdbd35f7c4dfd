"""msgpack with arrays, read strictly: numbers and texts alone, and no memory taken that the message does not bring along.

There are two ways to put an array into msgpack, openpi's and GR00T's. Neither can carry objects here, so nothing is unpickled.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgpack
import numpy as np
from numpy.typing import NDArray

from vla_core.errors import PeerError

MAX_TEXT = 1 << 16
_MAX_ITEMS = 1 << 10  # of a list or a map
_MAX_AXES = 8
_NUMBERS = re.compile(r"[<>|=]?(?:b1|[iu][1248]|f[248])")
_NPY_MAGIC = b"\x93NUMPY"
_NPY_HEADER = re.compile(
    r"\{'descr': '(?P<dtype>[^']{2,4})', 'fortran_order': (?P<fortran>True|False), "
    r"'shape': \((?P<shape>[0-9, ]{0,99})\), \} *\n?"
)


class ArrayForm(Protocol):
    """How an array stands in msgpack."""

    def encoded(self, value: NDArray[Any] | np.generic) -> dict[Any, Any]: ...

    def decoded(self, value: dict[Any, Any]) -> Any:
        """The array, or the map itself if it is none. Raises PeerError."""
        ...


class OpenpiArrays:
    """openpi's: its bytes beside its type and shape; keys are byte strings."""

    def encoded(self, value: NDArray[Any] | np.generic) -> dict[Any, Any]:
        if isinstance(value, np.generic):
            return {b"__npgeneric__": True, b"data": value.item(), b"dtype": _type_text(value.dtype)}
        parts = {b"data": value.tobytes(), b"dtype": _type_text(value.dtype), b"shape": list(value.shape)}
        return {b"__ndarray__": True, **parts}

    def decoded(self, value: dict[Any, Any]) -> Any:
        if _has(value, "__ndarray__"):
            fields = _fields(value, "__ndarray__", ("data", "dtype", "shape"))
            return array_from(fields["dtype"], fields["shape"], fields["data"])
        if _has(value, "__npgeneric__"):
            fields = _fields(value, "__npgeneric__", ("data", "dtype"))
            if not isinstance(fields["data"], bool | int | float):
                raise PeerError(f"number: expected a number, found {_kind(fields['data'])}")
            try:
                return _dtype(fields["dtype"]).type(fields["data"])
            except (OverflowError, ValueError) as error:
                raise PeerError(f"number: {fields['data']!r} is no {fields['dtype']}") from error
        return value


class GrootArrays:
    """GR00T's: the bytes of a ``.npy`` file. The descriptions of its modalities are taken as the maps that they are."""

    def encoded(self, value: NDArray[Any] | np.generic) -> dict[Any, Any]:
        array = np.ascontiguousarray(value)
        shape = "".join(f"{size}, " for size in np.shape(value))
        shape = shape.rstrip() if np.ndim(value) == 1 else shape.removesuffix(", ")
        header = f"{{'descr': '{_type_text(array.dtype)}', 'fortran_order': False, 'shape': ({shape}), }}"
        header += " " * (-(len(header) + 11) % 64) + "\n"  # so that the numbers begin at a multiple of 64 bytes
        start = _NPY_MAGIC + b"\x01\x00" + struct.pack("<H", len(header)) + header.encode()
        return {"__ndarray_class__": True, "as_npy": start + array.tobytes()}

    def decoded(self, value: dict[Any, Any]) -> Any:
        if _has(value, "__ndarray_class__"):
            return array_from_npy(_fields(value, "__ndarray_class__", ("as_npy",))["as_npy"])
        if _has(value, "__ModalityConfig_class__"):
            return _fields(value, "__ModalityConfig_class__", ("as_json",))["as_json"]
        return value


def pack(value: Any, form: ArrayForm) -> bytes:
    """A message. Takes numbers, texts, bytes, lists, maps, and arrays of numbers."""

    def encoded(other: Any) -> Any:
        if isinstance(other, np.ndarray | np.generic):
            return form.encoded(other)
        raise TypeError(f"expected numbers, texts, lists, maps or arrays, found {_kind(other)}")

    packed: bytes = msgpack.packb(value, default=encoded)
    return packed


def unpack(data: bytes, form: ArrayForm, max_bytes: int) -> Any:
    """Reads a message from a peer that is not trusted. Arrays are views on it, and cannot be written to.

    Args:
        data: the message.
        form: how arrays stand in it.
        max_bytes: how long it may be.

    Raises:
        PeerError: it is too long, truncated, not msgpack, or has in it what is neither number, text, list, map nor array.
    """
    if len(data) > max_bytes:
        raise PeerError(f"message: expected at most {max_bytes} bytes, found {len(data)}")
    try:
        return msgpack.unpackb(
            data,
            raw=False,
            strict_map_key=False,  # openpi's keys may be byte strings
            object_hook=form.decoded,
            max_str_len=MAX_TEXT,
            max_bin_len=max_bytes,
            max_array_len=_MAX_ITEMS,
            max_map_len=_MAX_ITEMS,
            max_ext_len=0,
        )
    except (ValueError, TypeError, msgpack.exceptions.UnpackException) as error:
        # a map as the key of a map is a TypeError, everything else that is malformed a ValueError or one of its own
        raise PeerError(
            f"message of {len(data)} bytes: expected msgpack, found: {error or type(error).__name__}"
        ) from None


def array_from(dtype: Any, shape: Any, data: Any, fortran: bool = False) -> NDArray[Any]:
    """An array over the bytes of a message.

    Raises:
        PeerError: not a type of numbers, not a shape, or not as many bytes as these two make.
    """
    number = _dtype(dtype)
    if not isinstance(data, bytes):
        raise PeerError(f"array: expected bytes, found {_kind(data)}")
    if not isinstance(shape, Sequence) or len(shape) > _MAX_AXES or not all(_is_size(size) for size in shape):
        raise PeerError(f"array: shape: expected at most {_MAX_AXES} sizes, found {str(shape)[:80]}")
    count = 1
    for size in shape:
        count *= size  # a Python integer: it cannot overflow
    if count * number.itemsize != len(data):
        raise PeerError(f"array {tuple(shape)} {dtype}: expected {count * number.itemsize} bytes, found {len(data)}")
    return np.frombuffer(data, number).reshape(tuple(shape), order="F" if fortran else "C")


def array_from_npy(data: Any) -> NDArray[Any]:
    """An array over the bytes of a ``.npy`` file, whose header is matched and not evaluated. Raises PeerError."""
    if not isinstance(data, bytes) or len(data) < 12 or data[:6] != _NPY_MAGIC or data[6] not in (1, 2, 3):
        raise PeerError("array: expected the bytes of a .npy file, found something else")
    start, length = (10, struct.unpack("<H", data[8:10])[0]) if data[6] == 1 else (12, *struct.unpack("<I", data[8:12]))
    header = data[start : start + min(length, 1024)].decode("latin-1")
    found = _NPY_HEADER.fullmatch(header)
    if not found:
        raise PeerError(f"array: expected a .npy header of an array of numbers, found {header[:120]!r}")
    shape = [int(size) for size in found["shape"].replace(" ", "").split(",") if size]
    return array_from(found["dtype"], shape, data[start + length :], found["fortran"] == "True")


def _dtype(text: Any) -> np.dtype[Any]:
    if not isinstance(text, str) or not _NUMBERS.fullmatch(text):
        raise PeerError(f"array: expected a type of numbers, found {str(text)[:80]!r}")
    return np.dtype(text)


def _type_text(dtype: np.dtype[Any]) -> str:
    if not _NUMBERS.fullmatch(dtype.str):
        raise TypeError(f"expected an array of numbers, found {dtype}")
    return dtype.str


def _has(value: Mapping[Any, Any], marker: str) -> bool:
    return marker in value or marker.encode() in value


def _fields(value: Mapping[Any, Any], marker: str, names: tuple[str, ...]) -> dict[str, Any]:
    """The fields of a marked map, whose keys may be texts or bytes. Raises PeerError if it has not just these."""
    by_text = {key.decode("latin-1") if isinstance(key, bytes) else key: field for key, field in value.items()}
    if set(by_text) != {marker, *names}:
        raise PeerError(f"{marker}: expected the keys {[marker, *names]}, found {str(list(by_text))[:120]}")
    return by_text


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _kind(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__
