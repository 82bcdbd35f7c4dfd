"""``./vla serve`` in a process of its own, which can be killed, stopped and started again at the same port."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading

_APPEARS_S = 300.0  # it may have to import torch, on a busy machine


class Served:
    """A policy's server on loopback, at a port that the system chose. A context manager; leaving it ends the process.

    Args:
        words: of its command line, but the port.
        environment: of the process, beside this one's.
    """

    def __init__(self, *words: str, **environment: str) -> None:
        self._words = words
        self._environment = {**os.environ, **environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self.port = 0
        self.said: list[str] = []

    @property
    def address(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def __enter__(self) -> Served:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Returns when clients can connect: the first time to a free port, then to the same."""
        command = [sys.executable, "-u", "-m", "vla", "serve", *self._words, "--port", str(self.port)]
        self._process = subprocess.Popen(
            command, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, args=(lines,), daemon=True)
        self._reader.start()
        while not (found := re.search(r"serving at ws://.*:(\d+)", line := lines.get(timeout=_APPEARS_S))):
            assert line, "it ended:\n" + "".join(self.said)
        self.port = int(found[1])

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """As a machine that is switched off, nearly: its sockets are closed, without a word."""
        self._process.kill()
        self._process.wait(60.0)
        self._reader.join(60.0)

    def end(self, number: signal.Signals) -> int:
        """Asks it to end; returns the exit status."""
        self.signal(number)
        status = self._process.wait(120.0)
        self._reader.join(60.0)
        return status

    def _read(self, lines: queue.Queue[str]) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                self.said.append(line)
                lines.put(line)
        lines.put("")
