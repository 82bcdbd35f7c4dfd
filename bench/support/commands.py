"""Figures that commands of the suite have measured."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vla.environment import child_environment
from vla.paths import checkout
from vla_core.errors import VlaError


class CommandFailed(VlaError):
    """A command of the suite did not end well."""


def figures_of(path: Path, arguments: Sequence[object]) -> dict[str, Any]:
    """What a command of the suite has measured, now or in an earlier run.

    Args:
        path: where it writes its figures with ``--json``; it is not run again if they are there.
        arguments: of ``vla``.

    Raises:
        CommandFailed: it ended with another exit code than 0.
    """
    if not path.is_file():
        command = [sys.executable, "-m", "vla", *map(str, arguments), "--json", str(path)]
        done = subprocess.run(command, env=child_environment(threads=None), cwd=checkout())
        if done.returncode != 0:
            raise CommandFailed(f"{' '.join(command[2:])}: expected the exit code 0, found {done.returncode}")
    figures: dict[str, Any] = json.loads(path.read_text())
    return figures
