"""A command at a terminal: keys in, what a person would read out."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence

_CONTROL_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_COLUMNS = 160


class PseudoTerminal:
    """A process in a pseudo-terminal, which is its controlling one. A context manager: leaving it kills what is left.

    Args:
        command: to run.
        environment: of the process.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._master, self._slave = pty.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, _COLUMNS, 0, 0))
        known = {name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES")}
        self._process = subprocess.Popen(
            command,
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            env={**known, "TERM": "xterm-256color"},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that control-C is a signal
        )
        self._printed = ""
        self._seen = 0

    def __enter__(self) -> PseudoTerminal:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)
        os.close(self._slave)

    @property
    def output(self) -> str:
        """All that was printed so far, without colours and movements of the cursor."""
        return _CONTROL_SEQUENCE.sub("", self._printed)

    @property
    def process_id(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def expect(self, pattern: str, within_s: float = 60.0) -> str:
        """Waits until the pattern appears in what was printed after the last match, and returns what matched."""
        deadline = time.monotonic() + within_s
        while True:
            fresh = _CONTROL_SEQUENCE.sub("", self._printed[self._seen :])
            if match := re.search(pattern, fresh):
                self._seen = len(self._printed)
                return match.group(0)
            over = time.monotonic() > deadline or not self.running
            if not self._read() and over:
                raise AssertionError(f"waited for {pattern!r}, found at the end {self.output[-2000:]!r}")

    def end(self, within_s: float = 60.0) -> int:
        """Reads on until the process has ended, and returns its exit status."""
        deadline = time.monotonic() + within_s
        while self.running:
            assert time.monotonic() < deadline, f"expected it to end, found it running: {self.output[-2000:]!r}"
            self._read()
        while self._read():
            pass
        return self._process.wait()

    def _read(self) -> bool:
        readable, _, _ = select.select([self._master], [], [], 0.1)
        if readable:
            self._printed += os.read(self._master, 65536).decode(errors="replace")
        return bool(readable)
