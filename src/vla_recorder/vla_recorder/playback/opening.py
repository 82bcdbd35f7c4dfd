"""Whether a path is a bag or an episode."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from vla_recorder.playback.bag_source import BagSource
from vla_recorder.playback.episode_source import EpisodeSource

_EPISODES = (".hdf5", ".h5", ".partial")


def is_episode(path: Path) -> bool:
    """Whether a path is that of an episode; everything else is taken for a bag."""
    return path.suffix in _EPISODES


def open_source(path: Path, topics: Iterable[str] = ()) -> BagSource | EpisodeSource:
    """Opens what is to be played; ``topics``: only these, default all.

    Raises:
        EpisodeError, BagError: the file is missing or broken.
        PlaybackError: a topic is not in it.
    """
    return EpisodeSource(path, topics) if is_episode(path) else BagSource(path, topics)
