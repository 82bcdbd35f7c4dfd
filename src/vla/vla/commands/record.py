"""Record demonstrations, with the keyboard toggle or by the scripted expert.

Without --expert: brings the robot and a recorder up and hands the keyboard to the operator (s start and stop, h help).
Arguments of the bringup follow as name:=value, for example robot:=real embodiment:=fr3 episodes:=demonstrations.
With --expert: the simulated expert demonstrates the task in as many worlds as asked for, in lockstep.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def record(
    arguments: Annotated[list[str] | None, typer.Argument(help="Arguments of the bringup: name:=value.")] = None,
    expert: Annotated[int, typer.Option(min=0, help="Let the scripted expert record this many episodes.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for the episodes.")] = Path("episodes"),
    seed: Annotated[int, typer.Option(min=0, help="Which worlds the expert works in.")] = 0,
    task: Annotated[str, typer.Option(help="Name in config/tasks, or a file.")] = "pick_place",
    embodiment: Annotated[str, typer.Option(help="Name in config/embodiments, or a file.")] = "",
    disturbance: Annotated[float, typer.Option(min=0, max=1, help="How likely the expert drifts off its way.")] = 0.0,
) -> None:
    from vla.graph import Bringup
    from vla_core import config

    if not expert:
        from vla.interactive import record_by_keyboard

        record_by_keyboard(arguments or [], out, task, embodiment)
        return
    given = {
        "record": True,
        "expert": True,
        "lockstep": True,
        "episodes": str(out),
        "task": task,
        "embodiment": embodiment,
        "disturbance": disturbance,
    }
    from vla.demonstrations import record_demonstrations
    from vla.screens import EpisodeScreen
    from vla.seeds import demonstration_seeds
    from vla.session import session

    bringup = config.from_mapping(Bringup, given, "record")
    with session(bringup) as running, EpisodeScreen(expert, f"{task} demonstrations") as screen:
        for made in record_demonstrations(running.operator, demonstration_seeds(seed, expert)):
            screen.ended(made.success, f"{made.duration_s:.1f} s; the episode was discarded")
    typer.echo(f"{out}: {len(list(out.glob('episode_*.hdf5')))} episodes")
