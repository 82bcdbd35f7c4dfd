"""A command_node whose every command is written down: ``python -m bench.support.timed_command_node``.

It is the node as it is. Its parameter ``lateness_file`` names a file; at the end it holds of each command when it was reported,
at most a twentieth of a second after it had been sent, and how late that was.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from vla_core.execution.lateness import LatenessMeter
from vla_policy_node.command_node import CommandNode
from vla_ros.host import NodeHost
from vla_ros.lifecycle import run_managed_node


class LatenessLog(LatenessMeter):
    """Keeps all values beside what is read and forgotten."""

    def __init__(self) -> None:
        super().__init__()
        self._ticks: list[tuple[int, int]] = []

    def note(self, late_ns: int) -> None:
        super().note(late_ns)
        self._ticks.append((time.monotonic_ns(), late_ns))

    def save(self, path: Path) -> None:
        """Writes an array (ticks, 2): when each was noted, on the monotonic clock, and how late it was sent [ns]."""
        np.save(path, np.array(self._ticks, dtype=np.int64).reshape(-1, 2))


class TimedCommandNode(CommandNode):
    """The node, and the log of its commands."""

    def __init__(self, host: NodeHost) -> None:
        super().__init__(host)
        self._file = Path(str(host.node.declare_parameter("lateness_file", "").value))
        self._log = LatenessLog()
        self._ticks.lateness = self._log

    def close(self) -> None:
        super().close()
        self._log.save(self._file)


def main() -> int:
    return run_managed_node("command_node", TimedCommandNode)


if __name__ == "__main__":
    sys.exit(main())
