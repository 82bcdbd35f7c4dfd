"""Show the whole loop on the simulated robot: record, run the policy, replay, and write a report.

Everything is simulated, in lockstep, through the real nodes: the scripted expert demonstrates while the recorder's keys are
pressed, the policy acts in worlds that it has not seen, and a demonstration is replayed. Leaves a report (HTML), a video,
the recorded episodes and the figures in a folder, and prints the figures.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything that it leaves behind.")] = Path("output/demo"),
    policy: Annotated[str, typer.Option(help="Checkpoint folder; the shipped one by default. fake: a slow wave.")] = "",
    task: Annotated[str, typer.Option(help="Name in config/tasks, or a file.")] = "pick_place",
    episodes: Annotated[int, typer.Option(min=1, help="Episodes of the policy.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Which worlds.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures there too.")] = None,
    video: Annotated[bool, typer.Option(help="Make a video.")] = True,
) -> None:
    from vla.paths import named_policy

    checkpoint = named_policy(policy, task)
    from vla.demo import Demo, run_demo
    from vla.demo_screen import DemoScreen
    from vla.outputs import write_json
    from vla.screens import print_figures

    with DemoScreen() as screen:
        figures = run_demo(Demo(out, checkpoint, task, episodes, seed, video), screen)
    print_figures(figures)
    typer.echo(f"report: {figures['files']['report']}")
    if json_file is not None:
        write_json(json_file, figures)
