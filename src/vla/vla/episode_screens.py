"""What the commands about episodes show in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from vla_core.episodes import EpisodeReader
from vla_core.errors import EpisodeError
from vla_recorder.formats.conversion import Report
from vla_recorder.pages.content import verdict_on

_WIDE = 240  # columns of a table that no terminal shows


class ConversionScreen:
    """A progress bar for each part of the work (port :class:`vla_recorder.formats.conversion.Progress`)."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = None if progress.disable else progress.add_task("", total=None, visible=False)

    def begin(self, what: str, total: int | None) -> None:
        if self._task is not None:
            self._progress.reset(self._task, description=escape(what), total=total, visible=True)

    def advance(self, count: int = 1) -> None:
        if self._task is not None:
            self._progress.advance(self._task, count)


@contextmanager
def conversion_screen() -> Iterator[ConversionScreen]:
    """Shows how far a conversion is, where there is a terminal to show it."""
    console = Console(stderr=True, highlight=False)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield ConversionScreen(progress)


def print_report(report: Report, target: Path) -> None:
    """What a conversion wrote, what it left out, and what was wrong with the data."""
    console = Console(highlight=False, soft_wrap=True)
    made = f"{counted(report.episodes, 'episode')}, {counted(report.steps, 'step')}"
    where = report.written[0] if len(report.written) == 1 else target
    console.print(f"{made}: {escape(str(where))}")
    for note in report.notes:
        console.print(f"  {escape(note)}", style="yellow")


def print_list(folder: Path, paths: Sequence[Path]) -> list[str]:
    """The episodes of a folder as a table. Returns what could not be read, with the reason."""
    table = _table("episode", "steps", "seconds", "outcome", "dropped", "recording", "prompt", numbers=(1, 2, 4))
    table.columns[0].no_wrap = True
    broken = []
    for path in paths:
        try:
            with EpisodeReader(path) as episode:
                known = episode.info
                seconds = (episode.stamps_ns[-1] - episode.stamps_ns[0]) * 1e-9
                table.add_row(
                    path.name,
                    str(known.steps),
                    f"{seconds:.1f}",
                    known.outcome,
                    str(known.dropped_steps),
                    _in_short(verdict_on(episode).lines),
                    " → ".join(escape(prompt) for prompt in known.prompts or (known.metadata.prompt,)),
                )
        except EpisodeError as error:
            broken.append(str(error))
    if table.row_count:
        _console().print(table)
    print(f"{counted(len(paths) - len(broken), 'episode')} in {folder}")
    return broken


def print_info(path: Path) -> None:
    """Everything about an episode. Raises EpisodeError."""
    console = _console()
    with EpisodeReader(path) as episode:
        known, embodiment = episode.info, episode.info.metadata.embodiment
        prompts = " → ".join(f"'{escape(prompt)}'" for prompt in known.prompts or (known.metadata.prompt,))
        console.print(f"{path.name}: {known.steps} steps, {known.outcome}, prompt {prompts}")
        console.print(
            f"recorded {known.created} on {known.metadata.robot} robot '{embodiment.name}' by {escape(known.recorder)}"
        )
        if known.recovered:
            console.print(escape(known.recovered), style="yellow")
        for line in verdict_on(episode).lines:
            console.print(line, style="yellow")
        console.print(_vectors(episode))
        console.print(_images(episode))
        console.print(_streams(episode))
        if episode.rollout is not None:
            console.print(f"{len(episode.rollout)} chunks of {', '.join(sorted(set(episode.rollout.policy_ids)))}")


def counted(count: int, what: str) -> str:
    """A number of things in words."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def _in_short(lines: Sequence[str]) -> str:
    """A verdict in one line; all of it is in ``info``."""
    more = f" (+{len(lines) - 1} more)" if len(lines) > 1 else ""
    return f"{escape(lines[0])}{more}" if lines else "good"


def _table(*columns: str, numbers: Sequence[int] = ()) -> Table:
    """A table without lines; the columns of ``numbers`` end where their head ends."""
    table = Table(*columns, box=None, padding=(0, 2, 0, 0))
    for number in numbers:
        table.columns[number].justify = "right"
    return table


def _console() -> Console:
    """The terminal, or, where the output goes elsewhere, lines that are not broken."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDE)


def _vectors(episode: EpisodeReader) -> Table:
    embodiment = episode.info.metadata.embodiment
    table = _table("vector", "elements")
    for group, references in embodiment.proprioception.items():
        table.add_row(group, ", ".join(embodiment.names_of(references)))
    table.add_row("action", ", ".join(embodiment.action_names))
    return table


def _images(episode: EpisodeReader) -> Table:
    embodiment = episode.info.metadata.embodiment
    table = _table("camera", "size", "kept as")
    for role, camera in embodiment.cameras.items():
        quality = f", quality {camera.jpeg_quality}" if camera.images == "jpeg" and camera.message == "image" else ""
        table.add_row(role, f"{camera.width}x{camera.height}", camera.images + quality)
    for role, depth in embodiment.depth_cameras.items():
        table.add_row(
            role, f"{depth.width}x{depth.height}", f"{depth.images}, distances {depth.encoding} in {depth.unit}"
        )
    return table


def _streams(episode: EpisodeReader) -> Table:
    heads = ("stream", "times", "rate Hz", "median age ms", "largest", "gaps", "missing")
    table = _table(*heads, numbers=range(2, len(heads)))
    for name, source in episode.info.metadata.embodiment.sources.items():
        ages_ms = episode.stream_ages_ns(name)[episode.markers == 0] * 1e-6
        arrived = episode.info.summary.streams.get(name)
        known = (arrived.stamp, f"{arrived.rate_hz:.1f}") if arrived else (source.stamp, "")
        counts = (str(arrived.gaps), str(arrived.missing_steps + arrived.marked_steps)) if arrived else ("", "")
        table.add_row(name, *known, f"{np.median(ages_ms):.1f}", f"{ages_ms.max():.1f}", *counts)
    return table
