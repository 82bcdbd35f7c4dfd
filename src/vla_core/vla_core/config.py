"""Reading configuration: YAML into frozen dataclasses, every wrong or missing key reported with its path.

A configuration class is an ordinary ``@dataclass(frozen=True)``; its types and defaults are the only statement of what the
file may hold. Unknown keys are refused at every level. All errors of a file are reported together.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from vla_core.errors import ConfigError

T = TypeVar("T")

_MISSING = frozenset({"missing", "missing_argument"})
_UNKNOWN = frozenset({"unexpected_keyword_argument", "extra_forbidden"})
_DEEPEST_EXTENDS = 8
_adapters: dict[type[Any], TypeAdapter[Any]] = {}  # building one takes milliseconds


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads a YAML mapping. A file may name another of its folder under ``extends``; its own keys replace or add to that one's.

    Raises:
        ConfigError: the file is missing, is not YAML, is not a mapping, or the chain of ``extends`` does not end.
    """
    return _read_extended(Path(path), depth=0)


def _read_extended(path: Path, depth: int) -> dict[str, Any]:
    if depth > _DEEPEST_EXTENDS:
        raise ConfigError(f"{path}: 'extends' goes deeper than {_DEEPEST_EXTENDS} files; expected it to end")
    try:
        data = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error})") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is not YAML: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected a mapping of keys, found {_kind(data)}")
    base = data.pop("extends", None)
    if base is None:
        return data
    if not isinstance(base, str):
        raise ConfigError(f"{path}: extends: expected a file name, found {_kind(base)}")
    return merge(_read_extended(path.parent / base, depth + 1), data)


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Returns ``base`` with the keys of ``over``; mappings are merged key by key, everything else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def from_mapping(cls: type[T], data: Any, where: str) -> T:
    """Makes a configuration dataclass from plain data.

    Args:
        cls: the frozen dataclass.
        data: what a YAML or JSON reader returned.
        where: what the data are, for the error: usually a path.

    Raises:
        ConfigError: one line for every key that is wrong, missing or unknown, with its path and what was expected.
    """
    try:
        return cast(T, _adapter(cls).validate_python(data))
    except ValidationError as error:
        lines = [f"{where}: {_describe(item)}" for item in error.errors(include_url=False)]
        raise ConfigError("\n".join(lines)) from None


def load(cls: type[T], path: Path) -> T:
    """Reads a configuration dataclass from a YAML file. See :func:`read_yaml` and :func:`from_mapping`."""
    return from_mapping(cls, read_yaml(Path(path)), str(path))


def to_mapping(value: Any) -> dict[str, Any]:
    """Turns a configuration dataclass into plain data, so that ``from_mapping(cls, to_mapping(value))`` equals ``value``."""
    return cast(dict[str, Any], _adapter(type(value)).dump_python(value, mode="json"))


def _adapter(cls: type[Any]) -> TypeAdapter[Any]:
    if cls not in _adapters:
        _forbid_unknown_keys(cls, set())
        _adapters[cls] = TypeAdapter(cls)
    return _adapters[cls]


def _forbid_unknown_keys(cls: Any, seen: set[Any]) -> None:
    """Sets the refusal of unknown keys on a dataclass and on every dataclass that its fields mention."""
    for argument in get_args(cls) if get_origin(cls) is not None else ():
        _forbid_unknown_keys(argument, seen)
    if cls in seen or not (isinstance(cls, type) and dataclasses.is_dataclass(cls)):
        return
    seen.add(cls)
    # pydantic reads its settings from this attribute of a plain dataclass
    cls.__pydantic_config__ = ConfigDict(extra="forbid", strict=False)  # type: ignore[attr-defined]
    for hint in get_type_hints(cls, include_extras=True).values():
        _forbid_unknown_keys(hint, seen)


def _describe(item: Any) -> str:
    path = _path(item["loc"])
    if item["type"] in _MISSING:
        return f"{path}: missing"
    if item["type"] in _UNKNOWN:
        return f"{path}: unknown key"
    expected = item["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if item["type"] == "value_error":
        return f"{path}: {expected}" if path else expected
    return f"{path}: expected {expected}, found {item['input']!r}"


def _path(location: tuple[Any, ...]) -> str:
    """``('joints', 0, 'position', 'min')`` as ``joints[0].position.min``."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"{type(value).__name__} {value!r}"[:80]
