"""What commands show in a terminal while they work and when they are done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from vla.figures import statements
from vla.statistics import wilson_interval


class EpisodeScreen:
    """A progress bar over episodes with the running success rate, and a line for each failure. A context manager."""

    def __init__(self, total: int, title: str) -> None:
        self._console = Console(highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._task = self._progress.add_task(title, total=total, rate="starting")
        self._done = self._successes = 0

    def __enter__(self) -> EpisodeScreen:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def ended(self, success: bool, remark: str) -> None:
        """Takes note of an episode."""
        self._done += 1
        self._successes += success
        low, high = wilson_interval(self._successes, self._done)
        rate = f"{self._successes} ok, {100 * self._successes / self._done:.0f} % ({100 * low:.0f} to {100 * high:.0f})"
        self._progress.update(self._task, advance=1, rate=rate)
        if not success:
            self._console.print(f"episode {self._done - 1}: not done after {remark}", style="yellow")


def print_figures(figures: Mapping[str, Any]) -> None:
    """Prints the figures of an evaluation or of a demo as a table."""
    table = Table(show_header=False, box=None, padding=(0, 2))
    for one in statements(figures):
        table.add_row(one.name, one.value)
    Console(highlight=False).print(table)
