"""Runs the processes of a graph without ROS's launch: starts them, shows what they say, and ends them all together."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from vla.graph import Process, Value
from vla_core.errors import VlaError

_INTERRUPT_S = 10.0  # a recorder may be closing a file
_TERMINATE_S = 3.0
_LAST_LINES = 30
_PR_SET_PDEATHSIG = 1


class ProcessDied(VlaError):
    """A process of the graph ended that was to go on."""


def command_line(process: Process) -> list[str]:
    """How a process is started: the module in this interpreter, with its ROS parameters."""
    rename = ["-r", f"__node:={process.name}"]
    return [sys.executable, "-m", process.module, *ros_arguments(process.parameters), *rename]


def ros_arguments(parameters: Mapping[str, Value]) -> list[str]:
    """Parameters as ROS reads them from a command line."""
    arguments = ["--ros-args"]
    for name, value in parameters.items():
        arguments += ["-p", f"{name}:={_yaml(value)}"]
    return arguments


class Supervisor:
    """Processes that live and die together. A context manager: leaving it ends them.

    Args:
        processes: to be started by :meth:`start`.
        environment: of all of them.
        log_folder: where each one's output is kept, ``<name>.log``; None: it is shown by ``show``.
        show: takes a line of output (name, line).
    """

    def __init__(
        self,
        processes: Sequence[Process],
        environment: Mapping[str, str],
        log_folder: Path | None = None,
        show: Callable[[str, str], None] | None = None,
    ) -> None:
        self._declared = tuple(processes)
        self._environment = dict(environment)
        self._log_folder = log_folder
        self._show = show
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._last: dict[str, deque[str]] = {}
        self._readers: list[threading.Thread] = []
        self._ended: set[str] = set()

    def __enter__(self) -> Supervisor:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts all processes."""
        if self._log_folder is not None:
            self._log_folder.mkdir(parents=True, exist_ok=True)
        for process in self._declared:
            self.start_one(process)

    def start_one(self, process: Process) -> None:
        """Starts a process, in a session of its own so that a terminal's control-C reaches it through us alone."""
        child = subprocess.Popen(
            command_line(process),
            env=self._environment | {"PYTHONUNBUFFERED": "1", "RCUTILS_COLORIZED_OUTPUT": "0"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
        self._running[process.name] = child
        self._last[process.name] = deque(maxlen=_LAST_LINES)
        reader = threading.Thread(target=self._read, args=(process.name, child.stdout), daemon=True)
        reader.start()
        self._readers.append(reader)

    def end_one(self, name: str) -> None:
        """Ends one process on purpose; it is not missed."""
        self._ended.add(name)
        _end([self._running[name]])

    def process_id(self, name: str) -> int:
        """Of a process."""
        return self._running[name].pid

    def check(self) -> None:
        """Raises ProcessDied if a process has ended that was to go on, with the end of what it said."""
        for name, child in self._running.items():
            if name in self._ended or child.poll() is None:
                continue
            said = "\n  ".join(self._last[name])
            raise ProcessDied(f"{name} ended with exit status {child.returncode}; the last it said:\n  {said}")

    def wait(self, until: Callable[[], bool], period_s: float = 0.1) -> None:
        """Waits until a condition holds, and checks the processes meanwhile."""
        while not until():
            self.check()
            time.sleep(period_s)

    def stop(self) -> None:
        """Ends all processes: asks them, then insists."""
        _end([child for child in self._running.values() if child.poll() is None])
        for reader in self._readers:
            reader.join(1.0)

    def _read(self, name: str, stream: IO[str] | None) -> None:
        if stream is None:
            return
        log = (self._log_folder / f"{name}.log").open("a") if self._log_folder else None
        with stream:
            for line in stream:
                self._last[name].append(line.rstrip("\n"))
                if log is not None:
                    log.write(line)
                    log.flush()
                if self._show is not None:
                    self._show(name, line.rstrip("\n"))
        if log is not None:
            log.close()


def _end_with_parent() -> None:
    """Has Linux end this child when its parent is killed, so that no process of a robot is left alone."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _end(children: Sequence[subprocess.Popen[str]]) -> None:
    for number, patience_s in (
        (signal.SIGINT, _INTERRUPT_S),
        (signal.SIGTERM, _TERMINATE_S),
        (signal.SIGKILL, _TERMINATE_S),
    ):
        alive = [child for child in children if child.poll() is None]
        for child in alive:
            os.killpg(child.pid, number)
        deadline = time.monotonic() + patience_s
        for child in alive:
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                continue


def _yaml(value: Value) -> str:
    """A parameter's value as the ROS command line reads it: YAML, strings quoted so that none turns into a number."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(_yaml(item) for item in value) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)
