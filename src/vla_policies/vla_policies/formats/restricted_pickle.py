"""Reads the statistics file of tonyzhaozh/act, a pickle, without executing anything that it names.

A pickle may name any function and have it called. Here the few names with which numpy pickles an array stand for small classes
of ours, which check what they get; every other name is refused. numpy's own reconstruction is not used, because the state
of a pickled dtype can be forged so that raw bytes are taken for pointers to objects.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_core.errors import CheckpointError

_NUMBER = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")
_BYTE_ORDERS = "<>|="


def read_arrays(path: Path | str) -> dict[str, NDArray[Any]]:
    """Reads a pickled dictionary from names to numpy arrays of numbers.

    Raises:
        CheckpointError: the file cannot be read, is no such pickle, or names anything else.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            data = _ArrayUnpickler(file).load()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from error
    except _RefusedError as error:
        raise CheckpointError(f"{path}: expected only numpy arrays of numbers, found {error}") from None
    except Exception as error:  # a damaged pickle can make its reader raise nearly anything
        raise CheckpointError(
            f"{path}: expected a whole pickle of numpy arrays: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path}: expected a dictionary, found a {type(data).__name__}")
    for name, value in data.items():
        if not isinstance(name, str) or not isinstance(value, _Array | _Scalar):
            raise CheckpointError(f"{path}: expected names with arrays, found {name!r} with a {type(value).__name__}")
    return {name: value.array() for name, value in data.items()}


class _RefusedError(Exception):
    """The pickle holds what is not allowed; the message says what."""


class _Dtype:
    """Stands for ``numpy.dtype``."""

    def __init__(self, code: object = None, *_: object) -> None:
        if code not in _NUMBER:
            raise _RefusedError(f"the dtype {code!r}")
        self._code = code
        self._order = "="

    def __setstate__(self, state: object) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        if not isinstance(order, str) or len(order) != 1 or order not in _BYTE_ORDERS:
            raise _RefusedError(f"a dtype with the state {state!r}")
        self._order = order

    def array(self, raw: object, shape: object, fortran: bool) -> NDArray[Any]:
        if not isinstance(raw, bytes | bytearray) or not isinstance(shape, tuple):
            raise _RefusedError(f"an array of {type(raw).__name__} with the shape {shape!r}")
        dtype = np.dtype(self._order + str(self._code))
        if not all(isinstance(size, int) and size >= 0 for size in shape) or len(raw) != dtype.itemsize * math.prod(
            shape
        ):
            raise _RefusedError(
                f"{len(raw)} bytes for an array of the shape {shape} and {dtype.itemsize} bytes an element"
            )
        return np.frombuffer(raw, dtype).reshape(shape, order="F" if fortran else "C").copy()


class _Array:
    """Stands for what ``numpy._core.multiarray._reconstruct`` makes."""

    def __init__(self, *_: object) -> None:
        self._array: NDArray[Any] | None = None

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], _Dtype):
            raise _RefusedError("an array with another state than shape, dtype, order and bytes")
        _, shape, dtype, fortran, raw = state
        self._array = dtype.array(raw, shape, bool(fortran))

    def array(self) -> NDArray[Any]:
        if self._array is None:
            raise CheckpointError("expected arrays with content, found one without")
        return self._array


class _Scalar:
    """Stands for what ``numpy._core.multiarray.scalar`` makes."""

    def __init__(self, dtype: object, raw: object) -> None:
        if not isinstance(dtype, _Dtype):
            raise _RefusedError("a scalar without a dtype")
        self._array = dtype.array(raw, (), False)

    def array(self) -> NDArray[Any]:
        return self._array


def _from_buffer(buffer: object, dtype: object, shape: object, order: object) -> _Array:
    """Stands for ``numpy._core.numeric._frombuffer``, of pickle protocol 5."""
    array = _Array()
    array.__setstate__((1, shape, dtype, order == "F", buffer))
    return array


_ALLOWED: dict[tuple[str, str], Callable[..., object]] = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    **{
        (f"numpy.{core}.{module}", name): stand_in
        for core in ("core", "_core")
        for module, name, stand_in in (
            ("multiarray", "_reconstruct", _Array),
            ("multiarray", "scalar", _Scalar),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise _RefusedError(f"the name '{module}.{name}'")
        return _ALLOWED[module, name]
