"""The operator's keys, without a terminal: which key does what, and what the operator is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from vla_recorder.keys import ESCAPE
from vla_recorder.line_editor import LineEditor
from vla_recorder.operations import RecorderOperations, Reply
from vla_recorder.prompts import next_wanted
from vla_recorder.status import DISCARDED, FAILURE, SUCCESS, RecorderState, RecorderStatus

Level = Literal["info", "success", "warning", "error"]

KEYS = {
    "s": "start an episode, or stop it and keep it",
    "d": "discard the running episode",
    "f": "mark the running episode as a failure; it is kept",
    "g": "mark the running episode as a success again",
    "r": "record again, in place of the running episode or of the one just ended",
    "p": "type a prompt: of the next episode, or of the running one from now on",
    "n": "the next prompt of the task's list that is still wanted, likewise",
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
                self._tell(self._recorder.mark(FAILURE), "warning")
            case "g":
                self._tell(self._recorder.mark(SUCCESS), "success")
            case "r":
                self._tell(self._recorder.start(redo=True), "info")
            case "p":
                status = self._recorder.status()
                self.line = LineEditor(earlier=status.prompt if status else "")
            case "n":
                self._next_prompt()
            case "h" | "?":
                for name, meaning in KEYS.items():
                    self._notify(Notice(f"{name}  {meaning}"))
            case "q":
                self._quit(quit_anyway)

    def _start_or_stop(self) -> None:
        status = self._recorder.status()
        if not _is_recording(status):
            self._tell(self._recorder.start(), "info")
            return
        reply = self._recorder.stop()
        self._tell(reply, "warning" if status is not None and status.outcome == FAILURE else "success")
        for line in reply.verdict:
            self._notify(Notice(f"   {line}", "warning"))
        if reply.verdict:
            self._notify(Notice("   r records it again, in its place", "warning"))

    def _edit(self, line: LineEditor, key: str) -> None:
        if key == ESCAPE:
            self.line = None
        elif key == "enter":
            self.line = None
            if line.text.strip():
                self._tell(self._recorder.set_prompt(line.text.strip()), "info")
        else:
            line.press(key)

    def _next_prompt(self) -> None:
        status = self._recorder.status()
        if status is None or not status.prompts:
            self._notify(Notice("the task has no list of prompts; p types one", "warning"))
            return
        self._tell(self._recorder.set_prompt(next_wanted(status.prompts, status.prompt)), "info")

    def _quit(self, anyway: bool) -> None:
        if not anyway and _is_recording(self._recorder.status()):
            self._quit_anyway = True
            text = "an episode is being recorded: stop it (s) or discard it (d) first, or press q again to leave it running"
            self._notify(Notice(text, "warning"))
            return
        self.finished = True

    def _tell(self, reply: Reply, level: Level) -> None:
        if reply.message or not reply.accepted:
            self._notify(Notice(reply.message or "refused", level if reply.accepted else "error"))


def _is_recording(status: RecorderStatus | None) -> bool:
    return status is not None and status.state == RecorderState.RECORDING
