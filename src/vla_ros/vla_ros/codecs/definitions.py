"""What a message type consists of, as plain values: enough to find a field in a serialized message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from vla_core.errors import StreamError


@dataclass(frozen=True)
class Number:
    """A number or truth value. ``code`` is numpy's, without byte order: ``f8``, ``i4``, ``u1``, ``b1``."""

    code: str

    @property
    def size(self) -> int:
        """[B]; also what its place is a multiple of."""
        return int(self.code[1:])


@dataclass(frozen=True)
class Text:
    """A string."""


@dataclass(frozen=True)
class Array:
    """A number of elements that is part of the type."""

    element: Kind
    length: int


@dataclass(frozen=True)
class Sequence:
    """A number of elements that each message says."""

    element: Kind


@dataclass(frozen=True, eq=False)
class Struct:
    """A message: its fields in the order of their definition."""

    name: str
    fields: Mapping[str, Kind]


Kind = Number | Text | Array | Sequence | Struct

_WORDS = {"short": 2, "long": 4, "long long": 8}  # as IDL calls integers
_NUMBERS = {
    "boolean": "b1",
    "octet": "u1",
    "char": "u1",
    "float": "f4",
    "double": "f8",
    **{
        f"{sign}{name}": f"{code}{size}"
        for sign, code in (("", "i"), ("unsigned ", "u"))
        for name, size in _WORDS.items()
    },
    **{f"{sign}int{bits}": f"{sign or 'i'}{bits // 8}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}
_NOTHING = Struct(
    "", {"structure_needs_at_least_one_member": Number("u1")}
)  # what the generators put into an empty message


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


@cache
def definition_of(message: type) -> Struct:
    """The definition of a generated message class.

    Raises:
        StreamError: it holds something that has no fixed form in serialized messages: wide strings, long doubles.
    """
    names = list(message.get_fields_and_field_types())  # type: ignore[attr-defined]
    kinds = [_kind(slot) for slot in message.SLOT_TYPES]  # type: ignore[attr-defined]
    return Struct(message.__name__, dict(zip(names, kinds, strict=True)) or _NOTHING.fields)


def _kind(slot: Any) -> Kind:
    """The kind of a type as the message generators describe it, told apart by the names of its classes."""
    described = type(slot).__name__
    if described == "BasicType" and slot.typename in _NUMBERS:
        return Number(_NUMBERS[slot.typename])
    if described in ("UnboundedString", "BoundedString"):
        return Text()
    if described == "Array":
        return Array(_kind(slot.value_type), slot.size)
    if described in ("UnboundedSequence", "BoundedSequence"):
        return Sequence(_kind(slot.value_type))
    if described == "NamespacedType":
        return definition_of(message_type("/".join(slot.namespaced_name())))
    raise StreamError(f"serialized messages: expected numbers, strings and messages of them, found {slot}")


def kind_at(definition: Struct, path: str) -> Kind:
    """What a field is, by its path with dots.

    Raises:
        StreamError: there is no such field.
    """
    kind: Kind = definition
    for name in path.split("."):
        if not isinstance(kind, Struct) or name not in kind.fields:
            there = f"one of the fields {', '.join(kind.fields)}" if isinstance(kind, Struct) else "a number"
            raise StreamError(f"field '{path}' of {definition.name}: expected {there}, found '{name}' declared")
        kind = kind.fields[name]
    return kind


def is_numeric(kind: Kind) -> bool:
    """Whether a field consists of numbers only."""
    if isinstance(kind, Struct):
        return all(is_numeric(inner) for inner in kind.fields.values())
    return isinstance(kind, Number) or (isinstance(kind, Array | Sequence) and is_numeric(kind.element))
