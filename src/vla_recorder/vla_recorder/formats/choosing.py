"""Our episodes in the format of somebody else, by its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

from vla_core.episodes import EpisodeReader
from vla_core.errors import choice
from vla_recorder.formats.aloha import export_aloha
from vla_recorder.formats.conversion import FormatError, Progress, Report
from vla_recorder.formats.lerobot import export_lerobot
from vla_recorder.formats.lerobot.pictures import Pictures
from vla_recorder.formats.ours import Images, note_losses, source_of, with_images
from vla_recorder.formats.robomimic import export_robomimic
from vla_recorder.formats.source import write_episode

FORMATS = ("aloha", "aloha-jpeg", "robomimic", "lerobot", *get_args(Images))


def export_any(
    paths: Sequence[Path],
    target: Path,
    name: str,
    pictures: Pictures = "high",
    quality: int | None = None,
    plain: bool = False,
    valid_share: float = 0.1,
    progress: Progress | None = None,
) -> Report:
    """Writes episodes in a format.

    Args:
        paths: the episodes.
        target: file or folder.
        name: ``aloha``, ``aloha-jpeg``, ``robomimic`` or ``lerobot``; or ``raw``, ``jpeg`` or ``lossless``: our own, with the
            images kept in that way.
        pictures: how LeRobot keeps images.
        quality: of JPEG files, 1 to 100.
        plain: of LeRobot only what it knows itself.
        valid_share: share of robomimic's demonstrations for validation.
        progress: is told how far it is.

    Raises:
        FormatError: an unknown format, or episodes that it cannot hold.
        EpisodeError: an episode cannot be read or written.
    """
    writers: dict[str, Callable[[], Report]] = {
        "aloha": lambda: export_aloha(paths, target, jpeg=False, progress=progress),
        "aloha-jpeg": lambda: export_aloha(paths, target, jpeg=True, quality=quality, progress=progress),
        "robomimic": lambda: export_robomimic(paths, target, valid_share, progress),
        "lerobot": lambda: export_lerobot(paths, target, pictures, plain, progress),
    }
    for images in get_args(Images):
        writers[images] = lambda images=images: _kept_otherwise(paths, target, images, quality, progress)  # type: ignore[misc]
    if name not in writers:
        raise FormatError(f"format: expected {choice(FORMATS)}, found '{name}'")
    return writers[name]()


def _kept_otherwise(
    paths: Sequence[Path], target: Path, images: Images, quality: int | None, progress: Progress | None
) -> Report:
    """The same episodes, whose files keep the images of colour cameras in another way."""
    report = Report()
    for path in paths:
        with EpisodeReader(path) as episode:
            embodiment = with_images(episode.info.metadata.embodiment, images, quality)
            note_losses(episode.info.metadata.embodiment, embodiment, report)
            written, steps = write_episode(target, source_of(episode, embodiment=embodiment), progress)
        report.written.append(written)
        report.steps += steps
    report.episodes = len(report.written)
    return report
