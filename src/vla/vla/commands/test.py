"""Run the tests; further arguments go to pytest."""

from __future__ import annotations

import subprocess
import sys
from typing import Annotated

import typer

app = typer.Typer()


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run_tests(
    context: typer.Context,
    slow: Annotated[bool, typer.Option("--slow", help="Also those that take minutes.")] = False,
    pure: Annotated[bool, typer.Option("--pure", help="Only those that need no ROS.")] = False,
) -> None:
    """Run the tests; further arguments go to pytest.

    First every package's own, then those of the whole workspace. They use a ROS domain of their own on this machine only,
    so that a robot's graph neither disturbs them nor is disturbed.
    """
    from vla.environment import child_environment
    from vla.paths import checkout

    options = ["--slow"] if slow else []
    options += ["-m", "not ros"] if pure else []
    command = [sys.executable, "-m", "pytest", *options, *context.args]
    done = subprocess.run(command, cwd=checkout(), env=child_environment())
    raise typer.Exit(_exit_code(done.returncode))


def _exit_code(of_pytest: int) -> int:
    """Pytest's exit code in the terms of vla: 4 is wrong usage, 2 an interruption, and no tests found is a failure."""
    return {0: 0, 2: 130, 4: 2}.get(of_pytest, 1)
