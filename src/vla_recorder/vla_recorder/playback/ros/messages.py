"""Messages to be published again: from the values of a bag, and from an episode's images and vectors."""

from __future__ import annotations

import functools
from array import array
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_core.embodiment.schema import Stream
from vla_core.errors import StreamError
from vla_ros.codecs.definitions import message_type
from vla_ros.time import to_ns, to_time

Move = Callable[[int], int]
"""Recorded time to the time that a message is to say [ns]."""

_NO_FIELDS = {"__msgtype__", "structure_needs_at_least_one_member"}
_TIME = "builtin_interfaces/msg/Time"
_type_of = functools.cache(message_type)


def message_from(value: Any, move: Move) -> Any:
    """The ROS message of a bag's value. All times in it are moved, except for 0, which says no time.

    Raises:
        StreamError: the message type is not installed, or has other fields here than where the bag was recorded.
    """
    name = value.__msgtype__
    if name == _TIME:
        stamp_ns = to_ns(value)
        return to_time(move(stamp_ns) if stamp_ns else 0)
    message = _type_of(name)()
    fields = message.get_fields_and_field_types()
    if set(fields) != _fields_of(value):
        raise StreamError(
            f"{name}: expected the fields {sorted(fields)} that it has here, found {sorted(_fields_of(value))} in the bag"
        )
    for field, kind in fields.items():
        setattr(message, field, _converted(getattr(value, field), getattr(message, field), kind, move))
    return message


def _fields_of(value: Any) -> set[str]:
    """Names of a message's fields, which are in small letters, as opposed to its constants."""
    return {name for name in vars(value) if name.islower() and name not in _NO_FIELDS}


def _converted(value: Any, like: Any, kind: str, move: Move) -> Any:
    """A field's value in the Python type that the message wants, which ``like`` has."""
    if hasattr(value, "__msgtype__"):
        return message_from(value, move)
    if isinstance(like, array):
        return array(like.typecode, np.asarray(value).tobytes())
    if isinstance(like, np.ndarray):
        return np.asarray(value, dtype=like.dtype)
    if isinstance(like, list):
        return [
            _converted(item, None, kind, move) for item in (value.tolist() if isinstance(value, np.ndarray) else value)
        ]
    if "octet" in kind:
        return bytes([value])
    return value


class StreamMessages:
    """Makes the messages of an episode's stream: the declared names and fields; everything else stays empty.

    Args:
        stream: its declaration.

    Raises:
        StreamError: its message type is not installed.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._type = _type_of(stream.type)

    def message(self, vector: NDArray[np.float64], stamp_ns: int) -> Any:
        """The message of one vector (size,) with a stamp, if the type has one [ns]."""
        message = self._type()
        if hasattr(message, "header"):
            message.header.stamp = to_time(stamp_ns)
        if self._stream.elements is not None:
            _put(message, self._stream.elements.path, list(self._stream.elements.names))
        for name, field in self._stream.fields.items():
            _put(message, field.path, vector[self._stream.slice_of(name)])
        return message


def _put(message: Any, path: str, value: Any) -> None:
    """Assigns to ``a.b.c`` of a message."""
    parent, _, name = path.rpartition(".")
    owner = attrgetter(parent)(message) if parent else message
    like = getattr(owner, name)
    if isinstance(like, array):
        value = array(like.typecode, value)
    elif isinstance(like, float | int):
        value = type(like)(value[0])
    setattr(owner, name, value)
