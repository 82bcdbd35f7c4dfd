"""A stream's numbers out of serialized messages: only what is declared is touched, whatever else the message holds."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vla_core.embodiment.schema import Stream
from vla_core.errors import StreamError
from vla_ros.codecs.cdr import START, Found, Layout, byte_order, layout_of
from vla_ros.codecs.definitions import Array, Kind, Struct, Text, is_numeric, kind_at
from vla_ros.codecs.definitions import Sequence as SequenceKind

_SECOND_NS = 1_000_000_000


_STAMPS = {order: struct.Struct(order + "iI") for order in "<>"}


def has_header(definition: Struct) -> bool:
    """Whether messages begin with a std_msgs/Header, as all do that have one; else their stamp is nowhere or anywhere."""
    first = next(iter(definition.fields.values()))
    return isinstance(first, Struct) and first.name == "Header"


def stamp_ns(data: bytes | memoryview) -> int:
    """The stamp of a serialized message that begins with a header [ns].

    Raises:
        StreamError: it is cut off or in a form that is not known.
    """
    stamp = _STAMPS[byte_order(data)]
    if len(data) < START + stamp.size:
        raise StreamError(f"serialized message: expected a header, found {len(data)} bytes")
    seconds, nanoseconds = stamp.unpack_from(data, START)
    return int(seconds) * _SECOND_NS + int(nanoseconds)


class SerializedStreamCodec:
    """Reads a stream's vector (n,) float64 out of its serialized messages, as :class:`StreamCodec` does out of typed ones.

    Args:
        name: of the stream, for errors.
        stream: its declaration.
        definition: of its message type.

    Raises:
        StreamError: a declared field is not in the definition, or is not of numbers.
    """

    def __init__(self, name: str, stream: Stream, definition: Struct) -> None:
        self._name = name
        self._stream = stream
        self._definition = definition
        names = [stream.elements.path] if stream.elements else []
        for path in names:
            if not _is_list_of_texts(kind_at(definition, path)):
                raise self._error(f"elements {path}: expected a list of strings in {definition.name}")
        for found in stream.fields.values():
            if not is_numeric(kind_at(definition, found.path)):
                raise self._error(
                    f"field {found.path}: expected numbers in {definition.name}, found strings among them"
                )
        self._paths = (*names, *(found.path for found in stream.fields.values()))
        self._has_header = has_header(definition)
        self._layout: Layout | None = None
        self._gather: _Gather | None = None

    def stamp_ns(self, data: bytes | memoryview) -> int | None:
        """The header's stamp [ns]; None if messages of this type have none. Raises StreamError."""
        return stamp_ns(data) if self._has_header else None

    def read(self, data: bytes | memoryview) -> NDArray[np.float64]:
        """The vector of one message, in the order of the declaration.

        Raises:
            StreamError: a declared element is not in the message, a field has another length than its names, or the message is
                cut off or in a form that is not known.
        """
        if self._layout is None or self._gather is None or not self._layout.fits(data):
            self._layout, self._gather = None, None  # so that what is wrong now is told again with the next message
            layout = layout_of(self._definition, self._paths, data)
            self._gather = self._gathering(layout)
            self._layout = layout
        return self._gather.read(data)

    def _gathering(self, layout: Layout) -> _Gather:
        elements = self._stream.elements
        seen = layout.found[elements.path].texts if elements else []
        order = self._order(seen, elements.names) if elements else []
        dtypes, offsets = [], []
        for declared in self._stream.fields.values():
            found = layout.found[declared.path]
            by_element = elements is not None and not declared.names
            expected = len(seen) if by_element else len(declared.names)
            if found.count != expected:
                raise self._error(f"field {declared.path}: expected {expected} values, found {found.count} values")
            picked = order if by_element else list(range(expected))
            offsets.append(found.offsets[picked])
            dtypes += [_dtypes(found)[index] for index in picked]
        return _Gather(dtypes, np.concatenate(offsets))

    def _order(self, seen: list[str], names: Sequence[str]) -> list[int]:
        missing = [name for name in names if name not in seen]
        if missing:
            raise self._error(f"expected the elements {list(names)}, found {seen} (missing: {', '.join(missing)})")
        return [seen.index(name) for name in names]

    def _error(self, text: str) -> StreamError:
        return StreamError(f"stream '{self._name}' on {self._stream.topic}: {text}")


class _Gather:
    """Picks numbers of a message by type and place, with as few calls of numpy as there are types."""

    def __init__(self, dtypes: list[str], offsets: NDArray[np.int64]) -> None:
        self._size = len(dtypes)
        self._parts = []
        for dtype in sorted(set(dtypes)):
            rows = np.array([row for row, found in enumerate(dtypes) if found == dtype])
            first, size = int(offsets[rows].min()), np.dtype(dtype).itemsize
            index = (offsets[rows] - first) // size  # all of them lie at multiples of their size, counted from START
            self._parts.append((np.dtype(dtype), first, int(index.max()) + 1, index, rows))
        self._all_doubles = len(self._parts) == 1 and self._parts[0][0] == np.float64

    def read(self, data: bytes | memoryview) -> NDArray[np.float64]:
        if self._all_doubles:
            dtype, first, count, index, _ = self._parts[0]
            doubles: NDArray[np.float64] = np.frombuffer(data, dtype, count, first)[index]
            return doubles
        values = np.empty(self._size)
        for dtype, first, count, index, rows in self._parts:
            values[rows] = np.frombuffer(data, dtype, count, first)[index]
        return values


def _dtypes(found: Found) -> list[str]:
    return [run.dtype for run in found.runs for _ in range(run.count)]


def _is_list_of_texts(kind: Kind) -> bool:
    return isinstance(kind, Array | SequenceKind) and isinstance(kind.element, Text)
