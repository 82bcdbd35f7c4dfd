"""The operator's keys, without a terminal: which key does what, and what the operator is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from vla_recorder.keys import ESCAPE
from vla_recorder.line_editor import LineEditor
from vla_recorder.operations import RecorderOperations, Reply
from vla_recorder.session import DISCARDED
from vla_recorder.status import RecorderState

Level = Literal["info", "success", "warning", "error"]

KEYS = {
    "s": "start or stop an episode",
    "d": "discard the running episode",
    "f": "mark the running episode as a failure",
    "p": "type the prompt of the next episode",
    "h": "help",
    "q": "quit",
}


@dataclass(frozen=True)
class Notice:
    """One sentence for the operator."""

    text: str
    level: Level = "info"


class OperatorConsole:
    """Turns keys into operations of a recorder.

    Attributes:
        line: the prompt while it is typed, else None.
        finished: whether the operator has quit.
    """

    def __init__(self, recorder: RecorderOperations, notify: Callable[[Notice], None]) -> None:
        """Makes a console.

        Args:
            recorder: does what the keys say.
            notify: shows a notice to the operator.
        """
        self.line: LineEditor | None = None
        self.finished = False
        self._recorder = recorder
        self._notify = notify
        self._quit_anyway = False

    def press(self, key: str) -> None:
        """Takes a key. Returns when its operation is done."""
        if self.line is not None:
            self._edit(self.line, key)
            return
        quit_anyway, self._quit_anyway = self._quit_anyway, False
        match key.lower():
            case "s":
                self._start_or_stop()
            case "d":
                self._tell(self._recorder.stop(DISCARDED), "warning")
            case "f":
                self._tell(self._recorder.mark_failure(), "warning")
            case "p":
                status = self._recorder.status()
                self.line = LineEditor(earlier=status.prompt if status else "")
            case "h" | "?":
                for name, meaning in KEYS.items():
                    self._notify(Notice(f"{name}  {meaning}"))
            case "q":
                self._quit(quit_anyway)

    def _start_or_stop(self) -> None:
        status = self._recorder.status()
        if status is not None and status.state == RecorderState.RECORDING:
            self._tell(self._recorder.stop(), "warning" if status.outcome == "failure" else "success")
        else:
            self._tell(self._recorder.start(), "info")

    def _edit(self, line: LineEditor, key: str) -> None:
        if key == ESCAPE:
            self.line = None
        elif key == "enter":
            self.line = None
            if line.text.strip():
                self._tell(self._recorder.set_prompt(line.text.strip()), "info")
        else:
            line.press(key)

    def _quit(self, anyway: bool) -> None:
        status = self._recorder.status()
        if not anyway and status is not None and status.state == RecorderState.RECORDING:
            self._quit_anyway = True
            text = "an episode is being recorded: stop it (s) or discard it (d) first, or press q again to leave it running"
            self._notify(Notice(text, "warning"))
            return
        self.finished = True

    def _tell(self, reply: Reply, level: Level) -> None:
        if reply.message or not reply.accepted:
            self._notify(Notice(reply.message or "refused", level if reply.accepted else "error"))
