"""See which policies can be trained and loaded, and what a checkpoint folder holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_policies() -> None:
    """The presets that can be trained."""
    from rich.console import Console
    from rich.table import Table

    from vla.paths import config_folder
    from vla_core import config

    table = Table("preset", "family", "horizon", "steps", "what it is", box=None, padding=(0, 2))
    for path in sorted((config_folder() / "policies").glob("*.yaml")):
        preset = config.read_yaml(path)
        steps = preset.get("optimisation", {}).get("steps", "")
        table.add_row(
            path.stem, preset["family"], str(preset["action_horizon"]), str(steps), preset.get("description", "")
        )
    Console().print(table)


@app.command("info")
def info(path: Annotated[Path, typer.Argument(help="Checkpoint folder.")]) -> None:
    """What a checkpoint folder holds: family, action space, horizon, cameras, and how it was trained."""
    import yaml

    from vla_policies import describe

    typer.echo(yaml.safe_dump(describe(path), sort_keys=False, width=120), nl=False)
