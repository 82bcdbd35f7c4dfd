"""Taking serialized messages from the middleware into memory of our own.

rclpy makes ``bytes`` of a serialized message: one copy more, of what may be an image of a megabyte, with the interpreter's lock
held. This calls what rclpy calls, ``rcl_take_serialized_message``, with a buffer of numpy's.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TAKEN, _NOTHING_THERE = 0, 401
_SMALL = (
    1 << 14
)  # up to here a message is copied into bytes, which everything afterwards handles faster than a view [B]

_Reallocate = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)


class _Allocator(ctypes.Structure):
    """rcutils_allocator_t."""

    _fields_ = [
        ("allocate", ctypes.c_void_p),
        ("deallocate", ctypes.c_void_p),
        ("reallocate", _Reallocate),
        ("zero_allocate", ctypes.c_void_p),
        ("state", ctypes.c_void_p),
    ]


class _SerializedMessage(ctypes.Structure):
    """rmw_serialized_message_t, which is a rcutils_uint8_array_t."""

    _fields_ = [
        ("buffer", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("capacity", ctypes.c_size_t),
        ("allocator", _Allocator),
    ]


class _MessageInfo(ctypes.Structure):
    """The beginning of rmw_message_info_t, and more room than the rest of it takes."""

    _fields_ = [("source_ns", ctypes.c_int64), ("received_ns", ctypes.c_int64), ("rest", ctypes.c_uint8 * 240)]


class DirectTake:
    """Takes the messages of one subscription.

    Args:
        subscription: rclpy's handle of it.
    """

    def __init__(self, subscription: Any) -> None:
        self._pointer = ctypes.c_void_p(subscription.pointer)
        self._take = _rcl().rcl_take_serialized_message
        self._buffer: NDArray[np.uint8] | None = None
        self._info = _MessageInfo()
        self._message = _SerializedMessage(allocator=_default_allocator())
        self._message.allocator.reallocate = _Reallocate(self._reallocate)
        self._arguments = (self._pointer, ctypes.byref(self._message), ctypes.byref(self._info), None)

    def take(self) -> tuple[bytes | memoryview, int] | None:
        """The next message and the system time at which the middleware received it [ns]; None if there is none.

        Raises:
            RuntimeError: the middleware cannot give it.
        """
        code = self._take(*self._arguments)
        if code == _NOTHING_THERE:
            return None
        if code != _TAKEN or self._buffer is None:
            raise RuntimeError(f"rcl_take_serialized_message: expected a message, found the error {code}")
        length = self._message.length
        if length <= _SMALL:
            return ctypes.string_at(self._message.buffer, length), self._info.received_ns
        data = memoryview(self._buffer)[:length]  # type: ignore[arg-type]
        self._buffer, self._message.buffer, self._message.capacity = None, None, 0  # it is the message's now
        return data, self._info.received_ns

    def _reallocate(self, old: int | None, size: int, state: int | None) -> int:
        """Called by the middleware when the buffer, of which it needs nothing any more, is too small for the message."""
        self._buffer = np.empty(size, np.uint8)
        return int(self._buffer.ctypes.data)


def _default_allocator() -> _Allocator:
    """What the middleware wants to be given, although it only ever reallocates."""
    library = ctypes.CDLL("librcutils.so")
    library.rcutils_get_default_allocator.restype = _Allocator
    allocator: _Allocator = library.rcutils_get_default_allocator()
    return allocator


def _rcl() -> ctypes.CDLL:
    """The library that rclpy has loaded."""
    library = ctypes.CDLL("librcl.so")
    library.rcl_take_serialized_message.argtypes = [ctypes.c_void_p] * 4
    library.rcl_take_serialized_message.restype = ctypes.c_int
    return library
