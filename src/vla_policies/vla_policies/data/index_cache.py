"""The index of a data set as a file: a JSON header, and all arrays behind it."""

from __future__ import annotations

import dataclasses
import json
import os
import struct
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_core import config
from vla_core.embodiment import Embodiment
from vla_core.embodiment.loading import embodiment_from_mapping
from vla_core.episodes.image_places import ImagePlaces
from vla_core.episodes.indexed import FileState, IndexedEpisode
from vla_core.errors import ConfigError

_MAGIC = b"vla/episode-index/1\n"
_SIZES = struct.Struct("<QQ")  # of the header, and of the arrays behind it [B]
_PLACES = ("offsets", "sizes", "deflated")


def write_cache(path: Path, episodes: Sequence[IndexedEpisode]) -> None:
    """Writes an index; an older one is replaced only when this one is complete. Raises OSError."""
    arrays = _Arrays()
    embodiments: dict[Embodiment, int] = {}
    entries = []
    for episode in episodes:
        number = -1
        if episode.embodiment is not None:
            number = embodiments.setdefault(episode.embodiment, len(embodiments))
        entries.append(_entry(episode, number, arrays))
    kept = [config.to_mapping(embodiment) for embodiment in embodiments]
    header = json.dumps({"embodiments": kept, "episodes": entries}).encode()
    descriptor, partial = tempfile.mkstemp(prefix=path.name, suffix=".partial", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(_MAGIC + _SIZES.pack(len(header), arrays.size) + header)
            for part in arrays.parts:
                file.write(part.data)
        os.chmod(partial, 0o644)
        os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise


def read_cache(path: Path) -> dict[str, IndexedEpisode]:
    """The episodes of an index by the names of their files; none if there is no whole index that this version can read."""
    try:
        data = path.read_bytes()
        if not data.startswith(_MAGIC):
            return {}
        header_size, arrays_size = _SIZES.unpack_from(data, len(_MAGIC))
        start = len(_MAGIC) + _SIZES.size + header_size
        if len(data) != start + arrays_size:
            return {}
        header = json.loads(data[start - header_size : start])
        embodiments = [embodiment_from_mapping(one, str(path)) for one in header["embodiments"]]
        blob = memoryview(data)[start:]
        episodes = [_episode(entry, blob, embodiments) for entry in header["episodes"]]
    except (OSError, ValueError, KeyError, TypeError, IndexError, struct.error, ConfigError):
        return {}
    return {episode.path.name: episode for episode in episodes}


class _Arrays:
    """Arrays, one behind the other."""

    def __init__(self) -> None:
        self.parts: list[NDArray[Any]] = []
        self.size = 0

    def add(self, array: NDArray[Any]) -> list[Any]:
        """Appends an array. Returns where it is and what it is."""
        entry = [self.size, array.dtype.str, list(array.shape)]
        self.parts.append(np.ascontiguousarray(array))
        self.size += array.nbytes
        return entry


def _taken(blob: memoryview, entry: Sequence[Any]) -> NDArray[Any]:
    start, dtype, shape = entry
    return np.frombuffer(blob, dtype, int(np.prod(shape)), start).reshape(shape)


def _entry(episode: IndexedEpisode, embodiment: int, arrays: _Arrays) -> dict[str, Any]:
    return {
        "name": episode.path.name,
        "state": dataclasses.astuple(episode.state),
        "embodiment": embodiment,
        "sim": episode.sim,
        "prompts": episode.prompts,
        "stamps_ns": arrays.add(episode.stamps_ns),
        "prompt_index": arrays.add(episode.prompt_index),
        "policy_drives": arrays.add(episode.policy_drives),
        "vectors": {name: arrays.add(values) for name, values in episode.vectors.items()},
        "valid": {name: arrays.add(values) for name, values in episode.valid.items()},
        "cameras": {
            role: {
                "fixed": [places.kind, places.height, places.width, places.room],
                **{name: arrays.add(getattr(places, name)) for name in _PLACES},
            }
            for role, places in episode.cameras.items()
        },
    }


def _episode(entry: dict[str, Any], blob: memoryview, embodiments: Sequence[Embodiment]) -> IndexedEpisode:
    return IndexedEpisode(
        path=Path(entry["name"]),
        state=FileState(*entry["state"]),
        embodiment=None if entry["embodiment"] < 0 else embodiments[entry["embodiment"]],
        sim=entry["sim"],
        prompts=tuple(entry["prompts"]),
        vectors={name: _taken(blob, found) for name, found in entry["vectors"].items()},
        stamps_ns=_taken(blob, entry["stamps_ns"]),
        prompt_index=_taken(blob, entry["prompt_index"]),
        policy_drives=_taken(blob, entry["policy_drives"]),
        valid={name: _taken(blob, found) for name, found in entry["valid"].items()},
        cameras={
            role: ImagePlaces(*found["fixed"], *(_taken(blob, found[name]) for name in _PLACES))
            for role, found in entry["cameras"].items()
        },
    )
