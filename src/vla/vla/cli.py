"""The command line: one file of ``vla.commands`` for each command, imported when it is asked for.

A command's file has a ``typer.Typer()`` named ``app``, and a docstring whose first line is its help. At its top it imports
only what is light; numpy, torch, rclpy and the like inside of functions, so that ``vla --help`` answers at once.

Exit codes: 0 good, 1 the check or the job failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import os
import pkgutil
import signal
import sys
import traceback
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from vla import commands
from vla_core.errors import VlaError

DEBUG_VARIABLE = "VLA_DEBUG"
FAILED = 1


class _Commands(TyperGroup):
    """The modules of ``vla.commands`` as commands."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(module.name for module in pkgutil.iter_modules(commands.__path__))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.list_commands(ctx):
            return None
        module = import_module(f"{commands.__name__}.{cmd_name}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        command.help = command.help or (module.__doc__ or "").partition("\n")[0]
        return command


app = typer.Typer(
    cls=_Commands, add_completion=False, no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]}
)


@app.callback()
def vla(
    debug: Annotated[
        bool, typer.Option("--debug", help=f"Show where an error comes from (also: {DEBUG_VARIABLE}=1).")
    ] = False,
) -> None:
    """Record demonstrations on a robot, train a policy on them, and run it."""
    if debug:
        os.environ[DEBUG_VARIABLE] = "1"


def main() -> None:
    """Runs the command line and exits."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that what runs below is ended too
    try:
        app(prog_name="vla")
    except VlaError as error:
        if os.environ.get(DEBUG_VARIABLE, "0") not in ("", "0"):
            traceback.print_exception(error)
        print(f"vla: {error}", file=sys.stderr)
        sys.exit(FAILED)
