"""Bring up the robot, and what is to run on it: the same arguments as ros2 launch vla bringup.launch.py.

Arguments are given as name:=value, for example robot:=sim policy:=checkpoints/mine record:=true. --list shows them all.
"""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def up(
    arguments: Annotated[list[str] | None, typer.Argument(help="name:=value")] = None,
    list_arguments: Annotated[bool, typer.Option("--list", help="Show all arguments with their defaults.")] = False,
) -> None:
    from vla.interactive import arguments_from, bring_up

    if not list_arguments:
        bring_up(arguments_from(arguments or []))
        return
    from dataclasses import fields

    from rich.console import Console
    from rich.table import Table

    from vla.graph import Bringup

    table = Table("argument", "default", "meaning", box=None, padding=(0, 2))
    for field in fields(Bringup):
        table.add_row(field.name, str(field.default), str(field.metadata["doc"]))
    Console().print(table)
