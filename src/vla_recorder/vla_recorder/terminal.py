"""The operator's console in a terminal, over SSH, in tmux; or at the end of a pipe, for scripts."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import threading
import tty
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import FrameType, TracebackType
from typing import Any

from rich.console import Console

from vla_recorder.console import Notice, OperatorConsole
from vla_recorder.display import Display, LiveDisplay, PlainDisplay
from vla_recorder.keys import KeyDecoder
from vla_recorder.operations import RecorderOperations

_REDRAW_S = 0.2  # five times a second: 3 kB/s over SSH
_TERMINATING = (signal.SIGTERM, signal.SIGHUP)


class KeyInput:
    """Keys from a file descriptor, each as it is pressed. Restores a terminal's mode when it is left, however it is left.

    A context manager. SIGTERM and SIGHUP end the process by SystemExit while it is entered, so that leaving it is never skipped.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._decoder = KeyDecoder()
        self._mode: list[Any] | None = None
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> KeyInput:
        if not os.isatty(self._descriptor):
            return self
        if threading.current_thread() is threading.main_thread():
            self._handlers = {number: signal.signal(number, _exit) for number in _TERMINATING}
        self._mode = termios.tcgetattr(self._descriptor)
        tty.setcbreak(self._descriptor, termios.TCSANOW)  # no echo, no waiting for enter; control-C stays a signal
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._mode is not None:
            termios.tcsetattr(self._descriptor, termios.TCSANOW, self._mode)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def read(self, timeout_s: float) -> list[str] | None:
        """Waits for keys for so long at most [s]. Returns those that came, or None at the end of the input."""
        readable, _, _ = select.select([self._descriptor], [], [], timeout_s)
        if not readable:
            return self._decoder.flush()
        data = os.read(self._descriptor, 1024)
        return self._decoder.feed(data) if data else None


def run_console(recorder: RecorderOperations, descriptor: int | None = None, output: Console | None = None) -> None:
    """Lets an operator work a recorder with the keyboard, until they quit or the input ends.

    Args:
        recorder: is asked for its status by this thread, and does what the keys say in another one.
        descriptor: where the keys come from; standard input by default.
        output: where the operator reads; standard output by default.
    """
    output = output or Console(highlight=False)
    display: Display = LiveDisplay(output) if output.is_terminal else PlainDisplay(output)
    keys = KeyInput(sys.stdin.fileno() if descriptor is None else descriptor)
    with keys, display, _Presses(recorder) as presses:
        try:
            _run(recorder, keys, display, presses)
        except KeyboardInterrupt:
            display.tell(Notice("interrupted; the recorder is left as it is", "warning"))


def _run(recorder: RecorderOperations, keys: KeyInput, display: Display, presses: _Presses) -> None:
    open_input = True
    while not presses.console.finished and (open_input or presses.waiting):
        for notice in presses.notices():
            display.tell(notice)
        display.show(recorder.status(), presses.console.line)
        pressed = keys.read(0.0 if presses.ready else _REDRAW_S) if open_input else []
        open_input = pressed is not None
        presses.work(pressed or [], _REDRAW_S)
    for notice in presses.notices():
        display.tell(notice)


class _Presses:
    """Presses keys one after the other in a thread, so that the display lives on while an episode is saved."""

    def __init__(self, recorder: RecorderOperations) -> None:
        self._notices: deque[Notice] = deque()
        self.console = OperatorConsole(recorder, self._notices.append)
        self._keys: deque[str] = deque()
        self._running: Future[None] | None = None
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="operator")

    def __enter__(self) -> _Presses:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)

    @property
    def waiting(self) -> bool:
        """Whether keys are still to be done."""
        return bool(self._keys) or self._running is not None

    @property
    def ready(self) -> bool:
        """Whether the next key can be done at once."""
        return bool(self._keys) and self._running is None

    def notices(self) -> list[Notice]:
        """What there is to tell since the last call."""
        return [self._notices.popleft() for _ in range(len(self._notices))]

    def work(self, keys: list[str], patience_s: float) -> None:
        """Takes further keys and does as many as it can, waiting so long [s] for one that takes time."""
        self._keys.extend(keys)
        while not self.console.finished and (self._running is not None or self._keys):
            if self._running is None:
                self._running = self._executor.submit(self.console.press, self._keys.popleft())
            wait([self._running], patience_s)
            if not self._running.done():
                return
            running, self._running = self._running, None
            running.result()


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
