"""Train a policy on recorded episodes.

The options are those of :mod:`vla_policies.training.cli`, which works without ROS and without this package.
"""

from __future__ import annotations

import typer

app = typer.Typer()


@app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def train(context: typer.Context) -> None:
    from vla.paths import config_folder
    from vla_policies.training.cli import main

    raise typer.Exit(main(context.args, config_folder() / "policies"))
