"""Set this workspace up, or make its environment anew (--force).

The work itself is done by :mod:`vla.setup`, which the script ``vla`` runs before anything of this is there to import.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def setup(force: Annotated[bool, typer.Option("--force", help="Begin with a new environment.")] = False) -> None:
    typer.echo(f"set up: Python {sys.version.split()[0]} in {sys.prefix}")
