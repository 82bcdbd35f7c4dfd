"""Measure what the suite promises about speed; a benchmark for each file of the folder bench."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

_FOLDER = "bench"


class _Benchmarks(TyperGroup):
    """The modules of the checkout's folder ``bench`` as commands: ``episode_write.py`` is ``episode-write``."""

    def list_commands(self, ctx: Any) -> list[str]:
        from vla.paths import checkout

        files = (checkout() / _FOLDER).glob("*.py")
        return sorted(file.stem.replace("_", "-") for file in files if not file.stem.startswith("_"))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        from vla.paths import checkout

        if cmd_name not in self.list_commands(ctx):
            return None
        if str(checkout()) not in sys.path:
            sys.path.insert(0, str(checkout()))
        module = import_module(f"{_FOLDER}.{cmd_name.replace('-', '_')}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        command.help = command.help or (module.__doc__ or "").strip()
        return command


app = typer.Typer(cls=_Benchmarks, no_args_is_help=True)


@app.callback()
def bench() -> None:
    """Measure what the suite promises about speed.

    Figures are ratios of things that are measured in turns within one run, because a machine is never twice the same.
    """
