"""What ``./vla demo`` shows while it works: one line for each step, and what the keys of the recorder say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn


class DemoStep:
    """A line of the screen, of a step that is being done."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def advance(self, remark: str = "") -> None:
        """One more of the step's parts is done."""
        self._progress.update(self._task, advance=1, remark=remark)

    def reach(self, parts: float) -> None:
        """So many of the step's parts are done."""
        self._progress.update(self._task, completed=parts)

    def tell(self, text: str, style: str = "dim") -> None:
        """Prints a line above the steps."""
        self._progress.console.print(text, style=style, markup=False)


class DemoScreen:
    """The steps so far, the last of them running. A context manager."""

    def __init__(self, console: Console | None = None) -> None:
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[remark]}"),
            console=console or Console(highlight=False),
        )

    def __enter__(self) -> DemoScreen:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    @contextmanager
    def step(self, title: str, parts: int) -> Iterator[DemoStep]:
        """A step of so many parts, while the block runs."""
        task = self._progress.add_task(title, total=parts, remark="")
        yield DemoStep(self._progress, task)
        self._progress.stop_task(task)
