"""Processes that are measured, and what the system says about them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from vla.paths import checkout

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_END_S = 20.0
_READY_S = 60.0

READY = "ready"  # what a process says when it does what it is there for


class Child:
    """A Python module in a process of its own, which ends with the block. What it says goes to a file."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._command = [sys.executable, "-m", *arguments]
        path = [str(checkout()), *filter(None, [environment.get("PYTHONPATH")])]
        self._environment = {**environment, "PYTHONPATH": os.pathsep.join(path)}
        self._log = log

    def __enter__(self) -> Child:
        with self._log.open("ab") as log:
            self._said_before = log.tell()
            self._process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def wait_until_ready(self) -> None:
        """Waits until it has said that it is ready. Raises RuntimeError if it does not within a minute."""
        deadline = time.monotonic() + _READY_S
        while READY not in self._log.read_text(errors="replace")[self._said_before :]:
            self.require_alive()
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self._command[2]} was not ready within {_READY_S:.0f} s")
            time.sleep(0.05)

    def require_alive(self) -> None:
        """Raises RuntimeError with what the process said last, if it has ended."""
        if self._process.poll() is not None:
            raise RuntimeError(f"{self._command[2]} has ended:\n{self._log.read_text()[-2000:]}")

    def cpu_s(self) -> float:
        """Processor time of all its threads so far, user's and system's [s]."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def rss_mb(self) -> float:
        """Memory that it occupies [MB]."""
        return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * _PAGE * 1e-6
