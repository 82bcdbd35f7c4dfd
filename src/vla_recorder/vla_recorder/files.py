"""What a recorder does with the disk: everything here may take as long as the disk does."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from vla_core.embodiment import Embodiment
from vla_core.episodes import (
    BackgroundEpisodeWriter,
    EpisodeMetadata,
    Hdf5EpisodeWriter,
    RecordingSummary,
    recover_folder,
)
from vla_core.errors import EpisodeError
from vla_recorder.prompts import EpisodeCensus
from vla_recorder.recording import QueuedEpisodeWriter, Recording
from vla_recorder.sizes import step_bytes

_LEAST_QUEUE = 5  # steps

MakeWriter = Callable[[Path, EpisodeMetadata], QueuedEpisodeWriter]


@dataclass(frozen=True)
class FinishedEpisode:
    """How an episode ended.

    Attributes:
        path: the file; None if the episode was discarded.
        outcome: ``success``, ``failure`` or ``discarded``.
        steps: rows in the file, end steps included.
        verdict: what was wrong with its streams and rows, one line each; empty if nothing.
        prompt: of its first step.
        duration_s: from its first step to its last [s].
        size_bytes: of the file [B].
        replaced: whether it took the place of an earlier one.
        recorded: prompt to successful episodes in the folder now; empty where nobody counts.
    """

    path: Path | None
    outcome: str
    steps: int
    verdict: tuple[str, ...] = ()
    prompt: str = ""
    duration_s: float = 0.0
    size_bytes: int = 0
    replaced: bool = False
    recorded: Mapping[str, int] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Whether nothing was wrong with its streams and rows."""
        return not self.verdict


@dataclass(frozen=True)
class FolderFound:
    """What was found in a folder before the first episode.

    recovered: what was done with the partial files of earlier recordings, one line each. recorded: as in FinishedEpisode.
    """

    recovered: tuple[str, ...] = ()
    recorded: Mapping[str, int] = field(default_factory=dict)


def background_writer(
    folder: Path,
    metadata: EpisodeMetadata,
    when_full: Literal["drop", "wait"] = "drop",
    queue_mb: float = 256.0,
    recorder: str | None = None,
) -> BackgroundEpisodeWriter:
    """Writes to HDF5 in a thread.

    Args:
        folder: where the episode goes.
        metadata: what is known when it begins.
        when_full: what happens to a step when the disk is too slow.
        queue_mb: how much memory the images of the steps that wait may take [MB].
        recorder: name and version of the program.
    """
    capacity = max(_LEAST_QUEUE, int(queue_mb * 1e6 / step_bytes(metadata.embodiment)))
    return BackgroundEpisodeWriter(Hdf5EpisodeWriter(folder, metadata, recorder), capacity, when_full)


class EpisodeFiles:
    """The episodes of a folder.

    Args:
        folder: where they are.
        make_writer: begins one.
        embodiment: of the robot.
        counts: whether to count the successful episodes of each prompt.
    """

    def __init__(self, folder: Path, make_writer: MakeWriter, embodiment: Embodiment, counts: bool) -> None:
        self._folder = folder
        self._make_writer = make_writer
        self._embodiment = embodiment
        self._census = EpisodeCensus() if counts else None

    def look_through(self) -> FolderFound:
        """Makes finished episodes of what earlier recordings left, and counts.

        Raises:
            EpisodeError: the folder cannot be read or written.
        """
        recovered = recover_folder(self._folder) if self._folder.is_dir() else ()
        return FolderFound(recovered, self._count())

    def begin(self, metadata: EpisodeMetadata, instead_of: QueuedEpisodeWriter | None = None) -> QueuedEpisodeWriter:
        """Begins an episode, after the one that was being written is discarded.

        Raises:
            EpisodeError: the one cannot be made, or the other not be removed.
        """
        if instead_of is not None:
            instead_of.discard()
        return self._make_writer(self._folder, metadata)

    def finish(self, episode: Recording, outcome: str, summary: RecordingSummary) -> FinishedEpisode:
        """Completes an episode, and puts it in the place of the one that it replaces.

        Raises:
            EpisodeError: it cannot be written, or not put there.
        """
        path = episode.writer.finish(outcome, summary)
        steps = episode.steps + self._embodiment.steps.end_steps
        if episode.replaces is not None:
            _put_in_place(path, episode.replaces)
        return FinishedEpisode(
            path=episode.path,
            outcome=outcome,
            steps=steps,
            verdict=episode.verdict(summary),
            prompt=episode.first_prompt,
            duration_s=episode.duration_s,
            size_bytes=episode.path.stat().st_size,
            replaced=episode.replaces is not None,
            recorded=self._count(),
        )

    def _count(self) -> Mapping[str, int]:
        return self._census.count(self._folder) if self._census else {}


def _put_in_place(path: Path, replaced: Path) -> None:
    """Gives a finished episode the name of another, which is gone with it. At any time one of the two has that name."""
    try:
        os.replace(path, replaced)
        folder = os.open(replaced.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise EpisodeError(
            f"{path}: cannot take the place of {replaced.name}: {error.strerror or error}; both are kept"
        ) from error
