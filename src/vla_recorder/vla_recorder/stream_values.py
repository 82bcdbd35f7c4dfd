"""A stream's vectors as its messages held them, put together from the vectors that its fields are parts of."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from vla_core.embodiment import Embodiment
from vla_core.episodes import EpisodeReader

Array = NDArray[np.float64]


def stream_values(episode: EpisodeReader, name: str) -> Array:
    """The values of an episode's stream (T, size), in the order of its fields."""
    embodiment = episode.info.metadata.embodiment
    groups: dict[str, Array] = {group: episode.proprioception(group) for group in embodiment.proprioception}
    return assembled(embodiment, name, groups, episode.actions, episode.stream_values)


def assembled(
    embodiment: Embodiment, name: str, groups: Mapping[str, Array], actions: Array, beside: Callable[[str], Array]
) -> Array:
    """The values of a stream (T, size).

    Args:
        embodiment: says which fields the vectors consist of.
        name: of the stream.
        groups: proprioception group to its vectors (T, n).
        actions: (T, action_dim).
        beside: gives the values of a stream with a field that is in none of these.
    """
    kept = {group: (references, groups[group]) for group, references in embodiment.proprioception.items()}
    places = [*kept.values(), (embodiment.action.fields, actions)]
    parts = []
    for field_name in embodiment.streams[name].fields:
        wanted = f"{name}.{field_name}"
        found = [place for place in places if wanted in place[0]]
        if not found:
            return beside(name)
        parts.append(_columns(embodiment, *found[0], wanted))
    return np.concatenate(parts, axis=1)


def _columns(embodiment: Embodiment, references: tuple[str, ...], values: Array, wanted: str) -> Array:
    """The columns (T, k) of one field in a vector that is several fields together."""
    start = len(embodiment.names_of(references[: references.index(wanted)]))
    return values[:, start : start + len(embodiment.names_of((wanted,)))]
