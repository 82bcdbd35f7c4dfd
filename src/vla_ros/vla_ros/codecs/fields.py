"""Numbers out of any message, by the paths that the embodiment declares."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_core.embodiment.schema import Stream
from vla_core.errors import StreamError


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

    def stamp_ns(self, message: Any) -> int | None:
        """The header's stamp [ns]; None if the message has none."""
        header = getattr(message, "header", None)
        return None if header is None else header.stamp.sec * 1_000_000_000 + header.stamp.nanosec

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
                raise self._error(
                    f"expected the elements {list(wanted)}, found {list(names)} (missing: {', '.join(missing)})"
                )
            self._order = [names.index(name) for name in wanted]
            self._seen = list(names)
        return self._order

    def _field(
        self, message: Any, path: str, getter: Any, order: list[int] | None, names: Sequence[str]
    ) -> NDArray[np.float64]:
        by_element = order is not None and not names
        try:
            values = _flat(getter(message))
        except (AttributeError, TypeError, ValueError):
            raise self._error(f"field {path}: expected numbers, found none or something else among them") from None
        expected = len(self._seen or ()) if by_element else len(names)
        if len(values) != expected:
            raise self._error(f"field {path}: expected {expected} values, found {len(values)} values")
        return values[order] if by_element else values

    def _error(self, text: str) -> StreamError:
        return StreamError(f"stream '{self._name}' on {self._stream.topic}: {text}")


def _flat(value: Any) -> NDArray[np.float64]:
    """The numbers of a field in the order of its definition, whatever it is made of."""
    if _members(value) is None and not (isinstance(value, list) and value and _members(value[0]) is not None):
        return np.atleast_1d(np.asarray(value, dtype=np.float64))
    return np.concatenate(list(_parts(value)))


def _parts(value: Any) -> Iterator[NDArray[np.float64]]:
    names = _members(value)
    for part in value if names is None else (getattr(value, name) for name in names):
        yield _flat(part)


def _members(value: Any) -> list[str] | None:
    """The names of a message's fields, in order; None for what is no message. rosbags' messages are dataclasses."""
    if hasattr(value, "get_fields_and_field_types"):
        return list(value.get_fields_and_field_types())
    return [found.name for found in fields(value) if not found.name.startswith("__")] if is_dataclass(value) else None
