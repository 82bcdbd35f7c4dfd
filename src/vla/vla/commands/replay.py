"""Play an episode or a rosbag2 bag back, into the simulated robot or into the graph.

--into sim: its commands move the simulated robot, in a graph of its own; tells how closely the arm followed what was recorded.
--into graph: its topics are published in the current ROS domain as they came, for a recorder, a policy or any other node.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


class Into(str, Enum):
    """Where a recording is played to."""

    sim = "sim"
    graph = "graph"


@app.command()
def replay(
    path: Annotated[Path, typer.Argument(help="An episode (.hdf5), or a bag: its folder, or a .mcap or .db3 file.")],
    into: Annotated[Into, typer.Option(help="The simulated robot, or the current graph.")] = Into.sim,
    speed: Annotated[float, typer.Option(min=0.01, max=10.0, help="1: as recorded; 0.5: half as fast.")] = 1.0,
    seed: Annotated[int | None, typer.Option(min=0, help="World to play in; default the episode's own.")] = None,
    embodiment: Annotated[str, typer.Option(help="Name in config/embodiments, or a file (sim).")] = "",
    topics: Annotated[list[str] | None, typer.Option("--topics", help="Only this topic; repeat it (graph).")] = None,
    delay: Annotated[float, typer.Option(min=0.0, help="Seconds for subscribers to find the topics (graph).")] = 1.0,
    lockstep: Annotated[bool, typer.Option("--lockstep/--real-time", help="How simulated time goes by (sim).")] = True,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw recorded and simulated here, as PNG (sim).")] = None,
) -> None:
    from vla.outputs import write_json

    if into is Into.graph and picture is not None:
        raise typer.BadParameter(
            "a picture compares with the simulated robot; expected --into sim", param_hint="--picture"
        )
    if into is Into.sim and topics:
        raise typer.BadParameter("topics are chosen for a graph; expected --into graph", param_hint="--topics")
    if into is Into.graph:
        figures = _into_graph(path, topics or [], speed, delay)
    else:
        figures = _into_sim(path, speed, seed, embodiment, lockstep, picture)
    if json_file is not None:
        write_json(json_file, figures)


def _into_sim(
    path: Path, speed: float, seed: int | None, embodiment: str, lockstep: bool, picture: Path | None
) -> dict[str, object]:
    import tempfile

    from vla.graph import Bringup
    from vla.replay import bringup_for, read_recording, replay
    from vla.replay.picture import draw
    from vla.replay.screen import ReplayScreen, print_replay
    from vla.session import session
    from vla_core.embodiment import load_embodiment

    robot = load_embodiment(Bringup(embodiment=embodiment).embodiment_file)
    recording = read_recording(path, robot)
    with tempfile.TemporaryDirectory(prefix="vla-replay-") as folder:
        given = bringup_for(recording, Path(folder), embodiment=embodiment, seed=seed, speed=speed, lockstep=lockstep)
        with session(given) as running, ReplayScreen(path.name) as screen:
            made = replay(running.operator, recording, given, seed=seed, speed=speed, on_progress=screen.show)
        print_replay(made)
        if picture is not None:
            draw(made, robot, picture)
            typer.echo(str(picture))
    return made.to_json()


def _into_graph(path: Path, topics: list[str], speed: float, delay: float) -> dict[str, object]:
    from vla.replay.into_graph import publish
    from vla.replay.screen import ReplayScreen, print_topics
    from vla_recorder.playback import open_source

    print_topics(open_source(path, topics).topics)
    with ReplayScreen(path.name) as screen:
        played = publish(path, topics, speed=speed, delay_s=delay, show=screen.say, on_progress=screen.show)
    typer.echo(f"{played.messages} messages in {played.duration_s:.1f} s")
    return played.to_json()
