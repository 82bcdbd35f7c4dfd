"""Episodes on their way into our format, wherever they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from vla_core.episodes import EpisodeMetadata, Hdf5EpisodeWriter, RecordingSummary
from vla_core.episodes.beside import Beside
from vla_core.observation import Step
from vla_recorder.formats.conversion import Progress, Silent


@dataclass(frozen=True, eq=False)
class Row:
    """A step and the language instruction that holds at it."""

    step: Step
    prompt: str


@dataclass(frozen=True, eq=False)
class SourceEpisode:
    """An episode that can be written in our format.

    Attributes:
        name: what it is called where it comes from, for messages.
        metadata: what is known at its start.
        length: number of rows, as far as one can know before.
        rows: makes the rows, in order, without end steps: the writer adds those.
        outcome: ``success`` or ``failure``.
        summary: how it was recorded. Called when all rows were made.
        beside: what is recorded beside the rows.
        created: when recording began; None: now.
        recorder: name and version of the program that recorded it; None: this one.
    """

    name: str
    metadata: EpisodeMetadata
    length: int | None
    rows: Callable[[], Iterator[Row]]
    outcome: str = "success"
    summary: Callable[[], RecordingSummary] = RecordingSummary
    beside: Iterable[Beside] = field(default_factory=tuple)
    created: datetime | None = None
    recorder: str | None = None


def write_episode(folder: Path, source: SourceEpisode, progress: Progress | None = None) -> tuple[Path, int]:
    """Writes an episode under the next free number of a folder. Returns its path and the number of its rows.

    Raises:
        EpisodeError: the file cannot be written, a row does not fit the embodiment, or there is none.
        Exception: whatever reading the source meets with; no file stays then.
    """
    progress = progress or Silent()
    progress.begin(source.name, source.length)
    writer = Hdf5EpisodeWriter(folder, source.metadata, source.recorder, source.created)
    count = 0
    try:
        for row in source.rows():
            writer.append(row.step, row.prompt)
            count += 1
            progress.advance()
        for record in source.beside:
            writer.beside(record)
        return writer.finish(source.outcome, source.summary()), count + source.metadata.embodiment.steps.end_steps
    except BaseException:
        writer.discard()
        raise
