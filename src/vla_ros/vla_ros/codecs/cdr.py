"""Finding fields in serialized messages (CDR, version 1, as every ROS 2 middleware sends them) without deserializing the rest.

A message begins with four bytes that tell its byte order. Then its fields follow each other, numbers at multiples of their
size, strings and sequences behind their length. Where a field is, depends therefore on the lengths before it; as long as these
are the same as in the message before, it is where it was.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vla_core.errors import StreamError
from vla_ros.codecs.definitions import Array, Kind, Number, Struct, Text

START = 4  # where fields begin, and what alignment is counted from
ORDERS = {b"\x00\x00": ">", b"\x00\x01": "<"}
_LENGTH_BYTES = 4


@dataclass(frozen=True)
class Run:
    """Numbers of one type, one behind the other. ``dtype`` with byte order, ``offset`` in the message [B]."""

    dtype: str
    offset: int
    count: int


@dataclass
class Found:
    """A wanted field: its numbers, or its texts."""

    runs: list[Run] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        return sum(run.count for run in self.runs)

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """Where each of the numbers is [B]."""
        parts = [run.offset + np.dtype(run.dtype).itemsize * np.arange(run.count) for run in self.runs]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)


@dataclass(frozen=True)
class Layout:
    """Where fields are in all messages that have the same bytes in some places: the lengths, and the texts that are wanted.

    Attributes:
        fixed: places and the bytes there.
        found: path of a wanted field to what it holds.
        end: so long a message must be at least [B].
    """

    fixed: tuple[tuple[slice, bytes], ...]
    found: Mapping[str, Found]
    end: int

    def fits(self, data: bytes | memoryview) -> bool:
        """Whether a message has this layout."""
        return len(data) >= self.end and all(data[place] == expected for place, expected in self.fixed)


def byte_order(data: bytes | memoryview) -> str:
    """``<`` or ``>``.

    Raises:
        StreamError: the message is not in CDR, version 1.
    """
    order = ORDERS.get(bytes(data[:2]))
    if order is None or len(data) < START:
        raise StreamError(
            f"serialized message: expected CDR, version 1, found {bytes(data[:START]).hex(' ') or 'nothing'}"
        )
    return order


def layout_of(definition: Struct, paths: Iterable[str], data: bytes | memoryview) -> Layout:
    """Finds fields of a message, by their paths with dots, all of which are in its definition.

    Raises:
        StreamError: the message ends early.
    """
    walks = {path: _Walk(data) for path in paths}
    try:
        for path, walk in walks.items():
            walk.to(definition, path.split("."))
    except struct.error:
        raise StreamError(
            f"{definition.name}: expected a whole message, found {len(data)} bytes that are cut off"
        ) from None
    places = {place for walk in walks.values() for place in walk.fixed}
    end = max(walk.position for walk in walks.values())
    return Layout(_merged(sorted(places), data), {path: walk.found for path, walk in walks.items()}, end)


class _Walk:
    """The way through a message to a field.

    Attributes:
        position: how far it has come [B].
        fixed: what it depends on: where lengths are, and the texts that were found.
        found: what the field holds.
    """

    def __init__(self, data: bytes | memoryview) -> None:
        self.position = START
        self.fixed: list[tuple[int, int]] = [(0, 2)]
        self.found = Found()
        self._data = data
        self._order = byte_order(data)
        self._length = struct.Struct(self._order + "I")

    def to(self, kind: Kind, path: Sequence[str]) -> None:
        """Goes on to the field and through it. Raises struct.error if the message ends before."""
        if not path:
            self._collect(kind, self.found)
            return
        assert isinstance(kind, Struct), "the path is in the definition"
        for name, inner in kind.fields.items():
            if name == path[0]:
                self.to(inner, path[1:])
                return
            self._skip(inner)

    def _collect(self, kind: Kind, found: Found) -> None:
        """Takes note of all numbers or texts of a field."""
        if isinstance(kind, Number):
            self._numbers(kind, 1, found)
        elif isinstance(kind, Text):
            begin, end = self._text()
            found.texts.append(bytes(self._data[begin:end]).rstrip(b"\x00").decode(errors="replace"))
            self.fixed.append((begin, end))
        elif isinstance(kind, Struct):
            for inner in kind.fields.values():
                self._collect(inner, found)
        else:
            count = kind.length if isinstance(kind, Array) else self._count()
            if isinstance(kind.element, Number):
                self._numbers(kind.element, count, found)
                return
            for _ in range(count):
                self._collect(kind.element, found)

    def _skip(self, kind: Kind) -> None:
        if isinstance(kind, Number):
            self._numbers(kind, 1, None)
        elif isinstance(kind, Text):
            self._text()
        elif isinstance(kind, Struct):
            for inner in kind.fields.values():
                self._skip(inner)
        else:
            count = kind.length if isinstance(kind, Array) else self._count()
            if isinstance(kind.element, Number):
                self._numbers(kind.element, count, None)
                return
            for _ in range(count):
                self._skip(kind.element)

    def _numbers(self, kind: Number, count: int, found: Found | None) -> None:
        if count == 0:
            return  # nothing to align
        offset = self._aligned(kind.size)
        self._advance(offset + count * kind.size)
        if found is not None:
            found.runs.append(Run(self._order + kind.code, offset, count))

    def _text(self) -> tuple[int, int]:
        """Where the bytes of a string are."""
        size = self._count()
        begin = self.position
        self._advance(begin + size)
        return begin, begin + size

    def _count(self) -> int:
        """A length, after which something of so many elements follows."""
        offset = self._aligned(_LENGTH_BYTES)
        (count,) = self._length.unpack_from(self._data, offset)
        self._advance(offset + _LENGTH_BYTES)
        self.fixed.append((offset, offset + _LENGTH_BYTES))
        if count > len(self._data):  # no element is smaller than a byte
            raise struct.error
        return int(count)

    def _aligned(self, size: int) -> int:
        return self.position + -(self.position - START) % size

    def _advance(self, position: int) -> None:
        if position > len(self._data):
            raise struct.error
        self.position = position


def _merged(places: list[tuple[int, int]], data: bytes | memoryview) -> tuple[tuple[slice, bytes], ...]:
    """Places as few slices. Padding between them stays out: it may hold anything."""
    merged: list[tuple[int, int]] = []
    for begin, end in places:
        if merged and begin == merged[-1][1]:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((begin, end))
    return tuple((slice(begin, end), bytes(data[begin:end])) for begin, end in merged)
