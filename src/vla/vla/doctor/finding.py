"""What an examination found."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from vla.environment import child_environment
from vla_core.errors import VlaError

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One line of the examination.

    Attributes:
        name: what was examined.
        status: ok; warn: something does not work, or not as well as it could; fail: the suite does not work.
        found: what was there.
        advice: what to do about it; empty where nothing is to be done.
    """

    name: str
    status: Status
    found: str
    advice: str = ""


class ProbeFailed(VlaError):
    """A probe in a process of its own did not end well; the message is the end of its output."""


def run_probe(arguments: Sequence[str], *, timeout_s: float, domain_id: int | None = None) -> dict[str, Any]:
    """Runs Python in a process of its own, since drivers and DDS fail by crashing, and reads the JSON on its last line.

    Args:
        arguments: of the interpreter: ``-m module`` or ``-c code``.
        timeout_s: after which it has failed.
        domain_id: the ROS domain of the process.

    Raises:
        ProbeFailed: it crashed, hung or ended with an error.
    """
    command = [sys.executable, *arguments]
    try:
        done = subprocess.run(
            command, env=child_environment(domain_id=domain_id), capture_output=True, text=True, timeout=timeout_s
        )
    except subprocess.TimeoutExpired:
        raise ProbeFailed(f"no answer within {timeout_s:.0f} s") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"ended with exit code {done.returncode}"]
        raise ProbeFailed(lines[-1])
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer
