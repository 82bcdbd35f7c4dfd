"""Memory for batches of images, used again and again: fresh memory costs more than to fill it."""

from __future__ import annotations

import ctypes
import math
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SMALLEST = 1 << 20  # the C library itself keeps smaller pieces [B]


class Buffers:
    """Gives out arrays, and takes their memory back when nobody holds the array, a view, or a tensor on it any more.

    As much is kept as the caller once held at a time, and not more than ``limit`` pieces. A copy in another process begins
    with nothing.
    """

    def __init__(self, limit: int = 16) -> None:
        self._limit = limit
        self._free: list[NDArray[np.uint8]] = []

    def __reduce__(self) -> tuple[Any, ...]:
        return Buffers, (self._limit,)

    def empty(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """An array uint8 of this shape; what is in it is not defined."""
        size = math.prod(shape)
        if size < _SMALLEST:
            return np.empty(shape, np.uint8)
        memory = self._taken(size)
        # whatever is made of the array refers to this owner, directly or not: numpy follows bases no further than to arrays
        owner = (ctypes.c_uint8 * size).from_buffer(memory.data)
        weakref.finalize(owner, self._give_back, memory).atexit = False
        return np.frombuffer(memoryview(owner), np.uint8).reshape(shape)

    def _taken(self, size: int) -> NDArray[np.uint8]:
        for place, memory in enumerate(self._free):
            if memory.size == size:
                return self._free.pop(place)
        return np.empty(size, np.uint8)

    def _give_back(self, memory: NDArray[np.uint8]) -> None:
        self._free.append(memory)
        del self._free[: -self._limit]
