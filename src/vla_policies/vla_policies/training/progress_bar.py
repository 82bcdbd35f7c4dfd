"""Training progress in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from vla_policies.training.config import TrainConfig
from vla_policies.training.report import Progress


@contextmanager
def progress_bar(config: TrainConfig, episodes: int) -> Iterator[Callable[[Progress], None]]:
    """Shows a bar with losses and remaining time; yields what to call with every progress.

    Where standard error is no terminal, a line is printed at every validation instead.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda progress: _print_line(console, progress)
        return
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[losses]}"),
    )
    validation = ""
    with Bar(*columns, console=console) as bar:
        description = f"{config.name} on {episodes} episodes"
        task = bar.add_task(description, total=config.optimisation.steps, losses="reading the episodes")

        def show(progress: Progress) -> None:
            nonlocal validation
            validation = _text(progress.validation) or validation
            losses = "  ".join(part for part in (_text(progress.losses), validation) if part)
            bar.update(task, completed=progress.step, losses=losses)

        yield show


def _print_line(console: Console, progress: Progress) -> None:
    if progress.validation or progress.step == progress.steps:
        figures = _text({**progress.losses, **progress.validation})
        console.print(f"step {progress.step}/{progress.steps}  {progress.seconds:.0f} s  {figures}", soft_wrap=True)


def _text(figures: object) -> str:
    return "  ".join(f"{name} {value:.4f}" for name, value in dict(figures).items()) if figures else ""  # type: ignore[call-overload]
