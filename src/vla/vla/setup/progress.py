"""Running the set-up's programs: one line per stage on the terminal, everything else in a log file."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from vla.setup.errors import SetupError, UnsuitableMachine

_REFRESH_S = 0.5
_GRACE_S = 5.0
_TAIL_BYTES = 1 << 16
_REASONS = 3
_NO_SPACE = "No space left on device"
_FULL_MB = 20


class Console:
    """Shows stages and runs programs for them.

    Args:
        log: the file that takes the programs' output.
        held: file descriptors that the programs inherit, so that a lock lasts as long as the last of them.
        stream: the terminal, or whatever stands in for it.
    """

    def __init__(self, log: Path, held: Sequence[int] = (), stream: TextIO | None = None) -> None:
        self._log = log
        self._held = tuple(held)
        self._stream = stream or sys.stderr
        self._line = ""
        self._started = 0.0

    def note(self, text: str) -> None:
        print(f"vla: {text}", file=self._stream, flush=True)

    @contextmanager
    def stage(self, title: str) -> Iterator[None]:
        """Shows a title while the block runs, then how long it took."""
        self._line, self._started = title, time.monotonic()
        self._stream.write(f"  {title} ...")
        self._stream.flush()
        try:
            yield
        except BaseException:
            self._stream.write("\n")
            raise
        end = f"  {title} ... {self._elapsed()}\n" if self._stream.isatty() else f" {self._elapsed()}\n"
        self._rewrite(end)

    def run(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        """Runs a program to its end, its output in the log.

        Raises:
            SetupError: it failed; the message holds the last lines of its output.
            UnsuitableMachine: it failed because the disk is full.
            KeyboardInterrupt: interrupted; the program and its children have ended.
        """
        with self._log.open("a") as log:
            log.write(f"\n$ {' '.join(command)}\n")
            log.flush()
            start = log.tell()
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=cwd,
                start_new_session=True,  # a group of its own, to be ended as a whole
                pass_fds=self._held,
            )
            try:
                self._wait(process)
            except BaseException:
                _end(process)
                raise
        if process.returncode != 0:
            raise self._failure(Path(command[0]).name, process.returncode, start)

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        while True:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_REFRESH_S)
                return
            if self._stream.isatty():
                self._rewrite(f"  {self._line} ... {self._elapsed()}  {self._last_line()}")

    def _rewrite(self, text: str) -> None:
        if self._stream.isatty():
            width = shutil.get_terminal_size().columns - 1
            text = "\r\033[2K" + (text if text.endswith("\n") else text[:width])
        self._stream.write(text)
        self._stream.flush()

    def _elapsed(self) -> str:
        seconds = round(time.monotonic() - self._started)
        return f"{seconds // 60} min {seconds % 60:02d} s" if seconds >= 60 else f"{seconds} s"

    def _last_line(self) -> str:
        lines = self._tail(0).splitlines()
        return lines[-1].strip() if lines else ""

    def _tail(self, start: int) -> str:
        """The end of the log, at most back to the byte ``start``."""
        with self._log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(start, size - _TAIL_BYTES))
            return log.read().decode(errors="replace")

    def _failure(self, program: str, code: int, start: int) -> SetupError:
        tail = self._tail(start)
        if _NO_SPACE in tail or _free_mb(self._log.parent) < _FULL_MB:  # then the log may lack the reason, too
            return UnsuitableMachine(disk_full(self._log.parent))
        lines = [line.strip() for line in tail.splitlines() if line.strip()]
        errors = [line for line in lines if "error" in line.lower()][:_REASONS] or lines[
            -_REASONS:
        ]  # the first is the cause
        reason = "".join(f"\n    {line[:300]}" for line in errors)
        return SetupError(f"{self._line}: '{program}' ended with exit code {code}; see {self._log}{reason}")


def disk_full(folder: Path) -> str:
    """The one sentence about a full disk."""
    places = (folder, Path(os.environ.get("TMPDIR") or "/tmp"))  # pip unpacks in the latter
    free = ", ".join(f"{_free_mb(place)} MB in {place}" for place in places)
    return f"the disk is full (free: {free}); make room and run this again: it goes on where it stopped"


def _free_mb(folder: Path) -> int:
    return shutil.disk_usage(folder).free >> 20


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a program and its children, gently first."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):  # a background job ignores SIGINT
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
