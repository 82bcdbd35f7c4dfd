"""Measure a policy's success in closed loop on the simulated robot.

Every episode runs in lockstep through the real nodes: simulator, policy_node, command_node. The same seed gives the same
result. Worlds are never ones that demonstrations are recorded in.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vla_core.strategies import DEFAULT_DECAY

app = typer.Typer()


@app.command()
def eval(
    policy: Annotated[str, typer.Option(help="Checkpoint folder; the shipped one by default. fake: a slow wave.")] = "",
    task: Annotated[str, typer.Option(help="Name in config/tasks, or a file.")] = "pick_place",
    episodes: Annotated[int, typer.Option(min=1, help="Number of worlds.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Which worlds.")] = 0,
    strategy: Annotated[
        str, typer.Option(help="How chunks are asked for and combined; docs/strategies.md has them.")
    ] = "receding_horizon",
    execution_horizon: Annotated[int, typer.Option(min=1, help="Steps from one inference to the next.")] = 8,
    prefix_decay: Annotated[str, typer.Option(help="Real-time chunking: linear, exp, ones or zeros.")] = DEFAULT_DECAY,
    inference_delay_ms: Annotated[float, typer.Option(min=0, help="Simulated time that an inference takes.")] = 40.0,
    embodiment: Annotated[str, typer.Option(help="Name in config/embodiments, or a file.")] = "",
    device: Annotated[str, typer.Option(help="Where the policy runs: cpu, cuda or cuda:N.")] = "cpu",
    limit: Annotated[float, typer.Option(min=0.1, help="Simulated seconds after which an episode has failed.")] = 12.0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
    trace: Annotated[str, typer.Option(help="Folder for what was commanded at 1 kHz, a file per episode.")] = "",
) -> None:
    from vla.graph import Bringup
    from vla.paths import named_config, named_policy
    from vla_core import config

    checkpoint = named_policy(policy, task)
    arguments = config.from_mapping(
        Bringup,
        {
            "policy": checkpoint,
            "task": task,
            "strategy": strategy,
            "execution_horizon": execution_horizon,
            "prefix_decay": prefix_decay,
            "inference_delay_ms": inference_delay_ms,
            "embodiment": embodiment,
            "device": device,
            "lockstep": True,
            "trace": trace,
        },
        "eval",
    )
    prompt = str(config.read_yaml(named_config("tasks", task)).get("prompt", ""))
    from vla.evaluation import EpisodeResult
    from vla.outputs import write_json
    from vla.ros.closed_loop import evaluate
    from vla.screens import EpisodeScreen, print_figures
    from vla.seeds import evaluation_seeds
    from vla.session import session

    with session(arguments) as running, EpisodeScreen(episodes, f"{task}, {Path(checkpoint).name}") as screen:

        def show(result: EpisodeResult) -> None:
            screen.ended(
                result.success, f"{result.duration_s:.1f} s" + (f", {result.message}" if result.message else "")
            )

        result = evaluate(running.operator, evaluation_seeds(seed, episodes), prompt, limit, show)
    figures = {
        "task": task,
        "policy": checkpoint,
        "seed": seed,
        "strategy": strategy,
        "inference_delay_ms": inference_delay_ms,
        "robot": "sim",
        **result.to_json(),
    }
    print_figures(figures)
    if json_file is not None:
        write_json(json_file, figures)
