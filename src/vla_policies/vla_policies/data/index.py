"""The index of a data set: what is read of every episode, once, and may be kept in a file beside them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from vla_core.embodiment import require_compatible
from vla_core.episodes import list_episodes
from vla_core.episodes.indexed import FileState, IndexedEpisode, index_episode
from vla_core.errors import EmbodimentMismatch, EpisodeError
from vla_policies.data.index_cache import read_cache, write_cache

INDEX_FILE = "episodes.index"

_log = logging.getLogger(__name__)


def episode_paths(source: Path | str | Iterable[Path | str]) -> list[Path]:
    """The episodes of a folder in order of their number, or those of a list.

    Raises:
        EpisodeError: no such folder, or no episode.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        paths = [path] if path.is_file() else list_episodes(path)
    else:
        paths = [Path(path) for path in source]
    if not paths:
        found = f" in {source}" if isinstance(source, str | Path) else ""
        raise EpisodeError(f"expected at least one episode to train on, found none{found}")
    return paths


def read_index(paths: Sequence[Path], cache: Path | None = None) -> list[IndexedEpisode]:
    """Reads what is needed of each episode, once.

    Args:
        paths: of the episodes.
        cache: file in which the index is kept. What it holds of a file counts as long as the file's size and time of change
            are the same; the rest is read, and the cache written anew. A cache that cannot be read or written is none.

    Raises:
        EpisodeError: an episode cannot be read.
        EmbodimentMismatch: they were not all recorded with robots whose numbers mean the same.
    """
    kept = read_cache(cache) if cache else {}
    episodes, is_new = [], False
    for path in paths:
        known = kept.get(path.name)
        if known is not None and known.state == FileState.of(path):
            episodes.append(replace(known, path=path))
        else:
            episodes.append(index_episode(path))
            is_new = True
    _require_alike(episodes)
    if cache and (is_new or len(kept) != len(episodes)):
        _write(cache, episodes)
    return episodes


def _write(cache: Path, episodes: Sequence[IndexedEpisode]) -> None:
    if len({episode.path.name for episode in episodes}) != len(episodes):
        _log.warning("%s: not written: two episodes have the same name", cache)
        return
    try:
        write_cache(cache, episodes)
    except OSError as error:
        _log.warning("%s: cannot be written (%s); the episodes will be indexed anew next time", cache, error.strerror)


def _require_alike(episodes: Sequence[IndexedEpisode]) -> None:
    first = episodes[0]
    checked = {first.embodiment}
    for episode in episodes[1:]:
        if first.embodiment is not None and episode.embodiment is not None:
            if episode.embodiment not in checked:
                require_compatible(episode.embodiment, first.embodiment, f"episode {episode.path}")
                checked.add(episode.embodiment)
            continue
        _require_equal(episode, first)


def _require_equal(episode: IndexedEpisode, first: IndexedEpisode) -> None:
    """Of files that do not say what their numbers mean, at least the shapes must be the same."""
    for label, found, expected in (
        ("cameras", sorted(episode.cameras), sorted(first.cameras)),
        ("sizes of vectors", _sizes(episode), _sizes(first)),
    ):
        if found != expected:
            raise EmbodimentMismatch(
                f"episode {episode.path}: {label}: expected {expected} as {first.path}, found {found}"
            )


def _sizes(episode: IndexedEpisode) -> dict[str, int]:
    return {name: values.shape[1] for name, values in sorted(episode.vectors.items())}
