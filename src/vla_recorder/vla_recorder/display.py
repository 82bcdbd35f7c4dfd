"""Where the operator reads: a block that is redrawn in place on a terminal, plain lines elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.live import Live

from vla_recorder.console import Notice
from vla_recorder.line_editor import LineEditor
from vla_recorder.problems import Journal
from vla_recorder.status import RecorderStatus
from vla_recorder.view import render, render_notice


class Display(Protocol):
    """Shows notices as they come and the status as it is. A context manager: leaving it leaves a clean screen."""

    def __enter__(self) -> Display: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, status: RecorderStatus | None, line: LineEditor | None) -> None: ...

    def tell(self, notice: Notice) -> None: ...


class LiveDisplay:
    """A log of notices, and below it a block of a few lines that is redrawn in place."""

    def __init__(self, output: Console) -> None:
        self._output = output
        self._live = Live(console=output, auto_refresh=False, transient=True)

    def __enter__(self) -> LiveDisplay:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, status: RecorderStatus | None, line: LineEditor | None) -> None:
        self._live.update(render(status, line), refresh=True)

    def tell(self, notice: Notice) -> None:
        self._output.print(render_notice(notice))


class PlainDisplay:
    """One line for each thing that changes."""

    def __init__(self, output: Console) -> None:
        self._output = output
        self._journal = Journal()

    def __enter__(self) -> PlainDisplay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def show(self, status: RecorderStatus | None, line: LineEditor | None) -> None:
        for notice in self._journal.changes(status):
            self.tell(notice)

    def tell(self, notice: Notice) -> None:
        self._output.print(render_notice(notice), soft_wrap=True)
