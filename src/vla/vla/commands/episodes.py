"""See what episodes a folder holds, and what is in one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)


@app.command("ls")
def list_them(folder: Annotated[Path, typer.Argument(help="Folder of episodes.")] = Path("episodes")) -> None:
    """The episodes of a folder."""
    from rich.console import Console
    from rich.table import Table

    from vla_core.episodes import EpisodeReader, list_episodes
    from vla_core.errors import EpisodeError

    paths = list_episodes(folder)
    table = Table("episode", "steps", "seconds", "outcome", "robot", "dropped", "prompt", box=None, padding=(0, 1))
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
                    known.metadata.robot,
                    str(known.dropped_steps),
                    known.metadata.prompt,
                )
        except EpisodeError as error:
            broken.append(str(error))
    Console(highlight=False).print(table)
    for problem in broken:
        typer.echo(problem, err=True)
    typer.echo(f"{len(paths) - len(broken)} episodes in {folder}")
    if broken:
        raise typer.Exit(1)


@app.command("info")
def info(path: Annotated[Path, typer.Argument(help="An episode file.")]) -> None:
    """What is in an episode: vectors with names and units, cameras, and how each stream arrived."""
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    from vla_core.episodes import EpisodeReader

    console = Console(highlight=False)
    with EpisodeReader(path) as episode:
        known, embodiment = episode.info, episode.info.metadata.embodiment
        console.print(f"{path.name}: {known.steps} steps, {known.outcome}, prompt '{known.metadata.prompt}'")
        console.print(
            f"recorded {known.created} on {known.metadata.robot} robot '{embodiment.name}' by {known.recorder}"
        )
        vectors = Table("vector", "elements", box=None, padding=(0, 2))
        for group, references in embodiment.proprioception.items():
            vectors.add_row(group, ", ".join(embodiment.names_of(references)))
        vectors.add_row("action", ", ".join(embodiment.action_names))
        console.print(vectors)
        streams = Table("stream", "rate Hz", "age ms, median", "largest", box=None, padding=(0, 2))
        for name in (*embodiment.cameras, *embodiment.streams):
            ages_ms = episode.stream_ages_ns(name) * 1e-6
            arrived = known.summary.streams.get(name)
            rate = f"{arrived.rate_hz:.1f}" if arrived else ""
            streams.add_row(name, rate, f"{np.median(ages_ms):.1f}", f"{ages_ms.max():.1f}")
        console.print(streams)
