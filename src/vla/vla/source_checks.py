"""The checks of the sources, each a program of its own, all at the same time."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class CheckResult:
    """How a check ended.

    Attributes:
        name: what was checked.
        passed: whether nothing is to be mended.
        seconds: how long it took [s].
        output: what the program said.
    """

    name: str
    passed: bool
    seconds: float
    output: str


def commands(root: Path) -> dict[str, list[str]]:
    """The checks by name, as arguments of the Python interpreter."""
    packages = [str(path.parent) for path in sorted(root.glob("src/*/*/__init__.py")) if path.parent.name != "test"]
    return {
        "lint": ["-m", "ruff", "check", "."],
        "format": ["-m", "ruff", "format", "--check", "."],
        "types": ["-m", "mypy", *packages],
        "architecture": ["-m", "pytest", "-q", "test/test_architecture.py"],
    }


def run_checks(root: Path) -> Iterator[CheckResult]:
    """Runs every check and yields the results as they come."""
    todo = commands(root)
    with ThreadPoolExecutor(len(todo)) as pool:
        running = [pool.submit(_run, name, arguments, root) for name, arguments in todo.items()]
        for done in as_completed(running):
            yield done.result()


def _run(name: str, arguments: list[str], root: Path) -> CheckResult:
    begin = time.monotonic()
    done = subprocess.run([sys.executable, *arguments], cwd=root, capture_output=True, text=True)
    output = (done.stdout + done.stderr).rstrip()
    return CheckResult(name, done.returncode == 0, time.monotonic() - begin, output)
