"""Our episodes as a LeRobotDataset 3.0."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vla_core.embodiment import Embodiment
from vla_core.episodes import EpisodeReader
from vla_recorder.formats.conversion import FormatError, Progress, Report, Silent, under_construction
from vla_recorder.formats.lerobot.layout import OURS
from vla_recorder.formats.lerobot.pictures import Pictures
from vla_recorder.formats.lerobot.writer import LeRobotWriter


def export_lerobot(
    paths: Sequence[Path],
    target: Path,
    pictures: Pictures = "high",
    plain: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Writes episodes as one data set.

    What LeRobot's columns round (numbers to float32) or lack (times, prompts per step are tasks there, sources' stamps) is
    kept exactly in further columns ``vla.*`` and in ``meta/vla.json``, of which :func:`import_lerobot` makes the same episodes.

    Args:
        paths: the episodes, of one embodiment.
        target: the data set's folder; must not exist, or be empty.
        pictures: ``high``: H.264 of high quality; ``lossless``: H.264 that loses nothing; ``images``: PNG files in the tables.
        plain: only what LeRobot itself knows.
        progress: is told how far it is.

    Raises:
        FormatError: no episodes; episodes of different robots; a rate that is no whole number; something is at ``target``.
        EpisodeError: an episode cannot be read.
    """
    progress, report = progress or Silent(), Report()
    if not paths:
        raise FormatError(f"{target}: expected at least one episode to export, found none")
    with under_construction(target) as folder:
        writer: LeRobotWriter | None = None
        try:
            for number, path in enumerate(paths):
                with EpisodeReader(path) as episode:
                    writer = writer or LeRobotWriter(folder, episode.info.metadata.embodiment, pictures, not plain)
                    _require_same(writer.embodiment, episode, paths[0])
                    progress.begin(f"{path.name} ({number + 1} of {len(paths)})", len(episode))
                    writer.add(episode, progress)
                    report.steps += len(episode)
                    _note_dropped(report, episode, plain)
        finally:
            if writer is not None:
                writer.close()
    report.written, report.episodes = [target], len(paths)
    return report


def _require_same(embodiment: Embodiment, episode: EpisodeReader, first: Path) -> None:
    """One data set has one set of features: same vectors, cameras, sizes and rate."""
    found = episode.info.metadata.embodiment
    for what, ours, theirs in (
        ("cameras", _cameras(embodiment), _cameras(found)),
        ("actions", embodiment.action_names, found.action_names),
        ("proprioception", _groups(embodiment), _groups(found)),
        ("streams", tuple(embodiment.streams), tuple(found.streams)),
        ("steps per second", embodiment.steps.rate_hz, found.steps.rate_hz),
    ):
        if ours != theirs:
            raise FormatError(f"{episode.path}: {what}: expected {ours} as in {first.name}, found {theirs}")


def _cameras(embodiment: Embodiment) -> dict[str, tuple[int, int]]:
    return {role: (camera.height, camera.width) for role, camera in embodiment.cameras.items()}


def _groups(embodiment: Embodiment) -> dict[str, tuple[str, ...]]:
    return {group: embodiment.names_of(references) for group, references in embodiment.proprioception.items()}


def _note_dropped(report: Report, episode: EpisodeReader, plain: bool) -> None:
    embodiment = episode.info.metadata.embodiment
    for role in embodiment.depth_cameras:
        report.note(f"left out: depth images of '{role}'")
    for name, stream in embodiment.streams.items():
        if stream.native:
            report.note(f"left out: '{name}' at its own rate")
    if episode.rollout is not None:
        report.note("left out: the policy's chunks of rollouts")
    if plain:
        report.note(
            f"left out: true times, sources' stamps, at which steps a policy drove, and numbers beyond float32 "
            f"(kept in {OURS}* without --plain)"
        )
