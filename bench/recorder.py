"""What recording costs, and what it loses."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def recorder(
    seconds: Annotated[float, typer.Option(min=5, help="Length of the runs in which losses are counted.")] = 600,
    pairs: Annotated[int, typer.Option(min=0, help="How often costs are compared.")] = 5,
    window: Annotated[float, typer.Option(min=2, help="Seconds for which the cost of a process is measured.")] = 10,
    episode: Annotated[float, typer.Option(min=2, help="Seconds of an episode; it is removed when it was read.")] = 60,
    folder: Annotated[Path | None, typer.Option(help="Where episodes go; a temporary folder by default.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
) -> None:
    """What recording costs, and what it loses: 3 cameras 640x480 at 30 Hz and joints at 500 Hz into episodes.

    Cost: processor time of recorder_node, with raw images and with JPEG of quality 95, by that of a process that subscribes to
    the same topics with rclpy's cheapest executor and throws everything away; in turns, medians; and by that of a loop without
    an executor. Losses: counted in the files, by numbers that the source puts into images and joints.
    """
    from bench.support.figures import machine, publish
    from vla.environment import child_environment, reserved_domain_id

    with tempfile.TemporaryDirectory(dir=folder, prefix="vla_bench_") as place, reserved_domain_id() as domain_id:
        environment = child_environment(domain_id=domain_id)
        os.environ.update(environment)

        from bench.support.recording_trials import IMAGES, trials

        figures = machine()
        with trials(Path(place), environment) as running:
            if pairs:
                figures["cheapest_executor"], figures["executors"] = running.cheapest_executor(window / 2)
                figures |= running.costs(figures["cheapest_executor"], pairs, window)
            for images in IMAGES:
                found = running.losses(images, seconds, episode)
                figures |= {f"{images}_{name}": value for name, value in found.items()}
    for name in ("dropped", "duplicated", "misaligned"):
        figures[name] = sum(figures[f"{images}_{name}"] for images in IMAGES)
    figures["rss_growth_mb"] = max(figures[f"{images}_rss_growth_mb"] for images in IMAGES)
    publish(figures, json_file)
