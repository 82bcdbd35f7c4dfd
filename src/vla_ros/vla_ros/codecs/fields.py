"""Numbers out of any message, by the paths that the embodiment declares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_core.embodiment.schema import Stream
from vla_core.errors import StreamError


def message_type(name: str) -> type:
    """The class of a message type such as ``sensor_msgs/msg/JointState``.

    Raises:
        StreamError: there is no such type on this machine.
    """
    package, _, class_name = name.split("/")
    try:
        found: type = getattr(import_module(f"{package}.msg"), class_name)
    except (ImportError, AttributeError) as error:
        raise StreamError(f"message type '{name}': expected one that is installed, found none ({error})") from None
    return found


class StreamCodec:
    """Reads a stream's vector (n,) float64 out of its messages: all declared fields, elements picked by name.

    Args:
        name: of the stream, for errors.
        stream: its declaration.
    """

    def __init__(self, name: str, stream: Stream) -> None:
        self._name = name
        self._stream = stream
        self._names_of = attrgetter(stream.elements.path) if stream.elements else None
        self._fields = [(found.path, attrgetter(found.path), found) for found in stream.fields.values()]
        self._seen: list[str] | None = None  # element names of the last message; they hardly ever change
        self._order: list[int] = []

    def read(self, message: Any) -> NDArray[np.float64]:
        """The vector of one message, in the order of the declaration.

        Raises:
            StreamError: a declared element is not in the message, or a field has another length than its names.
        """
        elements = self._stream.elements
        order = self._order_in(message, self._names_of, elements.names) if elements and self._names_of else None
        parts = [self._field(message, path, getter, order, found.names) for path, getter, found in self._fields]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _order_in(self, message: Any, names_of: Callable[[Any], Any], wanted: Sequence[str]) -> list[int]:
        names = names_of(message)
        if names != self._seen:
            missing = [name for name in wanted if name not in names]
            if missing:
                raise StreamError(
                    f"stream '{self._name}' on {self._stream.topic}: expected the elements {list(wanted)}, "
                    f"found {list(names)} (missing: {', '.join(missing)})"
                )
            self._order = [names.index(name) for name in wanted]
            self._seen = list(names)
        return self._order

    def _field(
        self, message: Any, path: str, getter: Any, order: list[int] | None, names: Sequence[str]
    ) -> NDArray[np.float64]:
        values = np.atleast_1d(np.asarray(getter(message), dtype=np.float64))
        expected = len(self._seen or ()) if order is not None else len(names)
        if len(values) != expected:
            raise StreamError(
                f"stream '{self._name}' on {self._stream.topic}: field {path}: expected {expected} values, found {len(values)}"
            )
        return values[order] if order is not None else values
