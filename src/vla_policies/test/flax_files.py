"""Writes msgpack files as flax does, for tests of what reads them."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import numpy as np


def packed(value: object) -> bytes:
    """A value in the longest form of its kind, which msgpack allows."""
    if value is None or isinstance(value, bool):
        return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value]
    if isinstance(value, int):
        return b"\xd3" + struct.pack(">q", value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        return b"\xdb" + struct.pack(">I", len(value.encode())) + value.encode()
    if isinstance(value, bytes):
        return b"\xc6" + struct.pack(">I", len(value)) + value
    if isinstance(value, list):
        return b"\xdd" + struct.pack(">I", len(value)) + b"".join(map(packed, value))
    if isinstance(value, Mapping):
        return b"\xdf" + struct.pack(">I", len(value)) + b"".join(packed(k) + packed(v) for k, v in value.items())
    assert isinstance(value, np.ndarray)
    return packed_array(list(value.shape), value.dtype.name, value.tobytes())


def packed_array(shape: object, dtype: object, raw: object, code: int = 1) -> bytes:
    payload = b"\x93" + packed(shape) + packed(dtype) + packed(raw)
    return b"\xc9" + struct.pack(">Ib", len(payload), code) + payload


def tree_of(paths: Mapping[str, object]) -> dict[str, object]:
    """Nested dictionaries from paths with ``/``."""
    tree: dict[str, object] = {}
    for path, value in paths.items():
        *folders, name = path.split("/")
        place = tree
        for folder in folders:
            place = place.setdefault(folder, {})  # type: ignore[assignment]
        place[name] = value
    return tree
