"""Cutting episodes and putting folders of them together. Images and numbers stay what they are, bit for bit."""

from __future__ import annotations

import dataclasses
import itertools
import random
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from vla_core.episodes import EpisodeReader, hdf5, list_episodes
from vla_core.episodes.folder import partial_of, publish_episode, reserve_episode
from vla_recorder.formats.conversion import FormatError, Progress, Report, Silent
from vla_recorder.formats.ours import source_of
from vla_recorder.formats.source import write_episode


def episodes_of(paths: Sequence[Path]) -> list[Path]:
    """Episode files, and those of folders in the order of their numbers.

    Raises:
        FormatError: a path is neither, or there is no episode at all.
        EpisodeError: a folder cannot be read.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise FormatError(f"{path}: expected an episode or a folder of episodes, found nothing")
        found += list_episodes(path) if path.is_dir() else [path]
    if not found:
        raise FormatError(f"{', '.join(str(path) for path in paths)}: expected episodes, found none")
    return found


def merge(paths: Sequence[Path], target: Path, progress: Progress | None = None) -> Report:
    """Copies episodes into one folder, numbered on from what is there. Their bytes stay as they are.

    Raises:
        EpisodeError: one is not whole, or cannot be written.
    """
    progress, report = progress or Silent(), Report()
    progress.begin("copying", len(paths))
    for path in paths:
        with EpisodeReader(path) as episode:
            report.steps += len(episode)
        report.written.append(_copy(path, target))
        progress.advance()
    report.episodes = len(report.written)
    return report


def trim(path: Path, target: Path, start: int, stop: int | None, progress: Progress | None = None) -> Report:
    """Writes the part of an episode from row ``start`` to ``stop`` (without it) as a new one.

    Raises:
        FormatError: the part is empty or lies outside of the episode.
        EpisodeError: the episode cannot be read, or the new one cannot be written.
    """
    return _cut(path, target, [(start, stop)], progress)


def split_episode(path: Path, target: Path, rows: Sequence[int], progress: Progress | None = None) -> Report:
    """Writes an episode as several: a new one begins at each of ``rows``. Raises as :func:`trim`."""
    bounds = [0, *rows, None]
    parts = [(int(start or 0), stop) for start, stop in itertools.pairwise(bounds)]
    return _cut(path, target, parts, progress)


def split_folder(
    folder: Path, target: Path, shares: Mapping[str, float], seed: int = 0, progress: Progress | None = None
) -> Report:
    """Copies the episodes of a folder into subfolders of another, by shares, drawn at random but always the same.

    Args:
        folder: of episodes.
        target: gets a folder for each name.
        shares: name to share, for example ``{"train": 0.9, "valid": 0.1}``; they add up to 1.
        seed: of the draw.
        progress: is told how far it is.

    Raises:
        FormatError: the shares do not add up to 1, or leave a folder without an episode.
    """
    paths = episodes_of([folder])
    if abs(sum(shares.values()) - 1.0) > 1e-9 or any(share <= 0 for share in shares.values()):
        raise FormatError(f"shares: expected positive ones that add up to 1, found {dict(shares)}")
    if len(paths) < len(shares):
        raise FormatError(f"{folder}: expected at least {len(shares)} episodes to split, found {len(paths)}")
    drawn = random.Random(seed).sample(paths, len(paths))
    report, begin, sum_of_shares = Report(), 0, 0.0
    for number, (name, share) in enumerate(shares.items()):
        sum_of_shares += share
        left = len(shares) - number - 1
        end = min(max(round(sum_of_shares * len(paths)), begin + 1), len(paths) - left)
        chosen = set(drawn[begin:end])
        begin = end
        part = merge([path for path in paths if path in chosen], target / name, progress)
        report.written += part.written
        report.steps += part.steps
        report.episodes += part.episodes
    return report


def _cut(path: Path, target: Path, parts: Sequence[tuple[int, int | None]], progress: Progress | None) -> Report:
    report = Report()
    with EpisodeReader(path) as episode:
        length = int((episode.markers == 0).sum())
        whole = [(start, length if stop is None else stop) for start, stop in parts]
        for start, stop in whole:
            if not 0 <= start < stop <= length:
                raise FormatError(
                    f"{path}: expected rows within 0 to {length}, first before last, found {start} to {stop}"
                )
        for start, stop in whole:
            source = source_of(episode, start, stop)
            named = dataclasses.replace(source, name=f"{path.name}, rows {start} to {stop - 1}")
            written, steps = write_episode(target, named, progress)
            report.written.append(written)
            report.steps += steps
    report.episodes = len(report.written)
    return report


def _copy(path: Path, target: Path) -> Path:
    """Copies an episode under the next free number of a folder, in the way in which a new one gets there."""
    copy, lock = reserve_episode(target)
    try:
        with hdf5.reported(copy, "copy the episode"):
            shutil.copyfile(path, partial_of(copy))
            hdf5.sync(partial_of(copy))
            publish_episode(copy)
    except BaseException:
        partial_of(copy).unlink(missing_ok=True)
        raise
    finally:
        lock.release()
    return copy
