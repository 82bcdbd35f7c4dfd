"""What ``vla replay`` shows in a terminal."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from vla.replay.into_sim import Replay
from vla.replay.tracking import largest, rms
from vla_recorder.playback import PlayedTopic


class ReplayScreen:
    """A progress bar. A context manager."""

    def __init__(self, title: str) -> None:
        self.console = Console(highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f} %"),
            TimeElapsedColumn(),
            console=self.console,
        )
        self._task = self._progress.add_task(title, total=1.0)

    def __enter__(self) -> ReplayScreen:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, share: float) -> None:
        """Takes how much is done, 0 to 1."""
        self._progress.update(self._task, completed=share)

    def say(self, name: str, line: str) -> None:
        """A line that a process said."""
        self.console.print(f"{name}: {line}", style="dim", markup=False)


def print_replay(replay: Replay) -> None:
    """Prints how closely the simulated arm followed."""
    console, tracking = Console(highlight=False), replay.tracking
    table = Table("joint", box=None, padding=(0, 2))
    for heading in ("rms [mrad]", "largest [mrad]", "rms to command", "largest to command"):
        table.add_column(heading, justify="right")
    figures = [
        1e3 * values for errors in (tracking.error, tracking.command_error) for values in (rms(errors), largest(errors))
    ]
    for name, *row in zip(tracking.joint_names, *figures, strict=True):
        table.add_row(name, *(f"{value:.2f}" for value in row))
    overall = [rms(figures[0][:, None]), figures[1].max(), rms(figures[2][:, None]), figures[3].max()]
    table.add_section()
    table.add_row("all", *(f"{np.asarray(value).item():.2f}" for value in overall))
    console.print(table)
    violations = replay.to_json()["limit_violations"]
    console.print(f"measured by {replay.recording.measured_by}, {replay.recording.duration_s / replay.speed:.2f} s")
    console.print(f"limit violations: {', '.join(f'{kind} {count}' for kind, count in violations.items())}")
    if replay.success is not None:
        console.print("the task was done" if replay.success else "the task was not done", style="bold")


def print_topics(topics: Mapping[str, PlayedTopic]) -> None:
    """Prints what is published."""
    table = Table("topic", "type", "messages", box=None, padding=(0, 2))
    for topic in topics.values():
        table.add_row(topic.name, topic.type, str(topic.count))
    Console(highlight=False).print(table)
