"""How a recorder's status looks in a terminal."""

from __future__ import annotations

from pathlib import PurePath

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.text import Text

from vla_core.alignment import StreamStatus
from vla_recorder.console import Level, Notice
from vla_recorder.line_editor import LineEditor
from vla_recorder.problems import RECORDER, problems_of
from vla_recorder.status import RecorderState, RecorderStatus

STYLES: dict[Level, str] = {"info": "", "success": "green", "warning": "yellow", "error": "bold red"}
_STATES = {
    RecorderState.IDLE: ("○ READY", "bold cyan"),
    RecorderState.RECORDING: ("● REC", "bold white on red"),
    RecorderState.FINISHING: ("◌ SAVING", "bold black on yellow"),
    RecorderState.FAILED: ("✗ FAILED", "bold red"),
}


def render(status: RecorderStatus | None, line: LineEditor | None) -> RenderableType:
    """The live block: state and counts, streams, what is wrong, and the keys or the prompt that is being typed."""
    problems = problems_of(status)
    parts: list[RenderableType] = []
    if status is not None:
        parts.append(_headline(status))
        if status.streams:
            parts.append(
                Columns([_stream(stream, problems.get(stream.name)) for stream in status.streams], padding=(0, 3))
            )
    if RECORDER in problems:
        notice = problems[RECORDER]
        parts.append(Text(f"! {notice.text}", STYLES[notice.level]))
    parts.append(_input(line) if line is not None else _keys(status))
    return Group(*parts)


def render_notice(notice: Notice) -> Text:
    """A line of the log."""
    return Text(notice.text, STYLES[notice.level])


def _headline(status: RecorderStatus) -> Text:
    label, style = _STATES[status.state]
    text = Text.assemble((f" {label} ", style), "  ")
    if status.state in (RecorderState.RECORDING, RecorderState.FINISHING):
        text.append(f"{status.duration_s:6.1f} s  {status.steps:5d} rows", "bold")
        text.append(f"  {PurePath(status.episode_path).name}")
        if status.queue_steps:
            text.append(f"  {status.queue_steps} waiting for the disk", "yellow")
        if status.outcome == "failure":
            text.append("  → failure", "bold yellow")
    text.append(f"  {status.episodes} saved", "green" if status.episodes else "dim")
    text.append("   ")
    text.append(f"“{status.prompt}”" if status.prompt else "no prompt", "italic" if status.prompt else "yellow")
    return text


def _stream(stream: StreamStatus, problem: Notice | None) -> Text:
    text = Text(f"{stream.name} ", "dim" if problem is None else STYLES[problem.level], no_wrap=True)
    if stream.received > 0:
        text.append(f"{stream.rate_hz:.0f} Hz {_age(stream.age_s)}", "")
    if problem is not None:
        text.append(f", {problem.text}" if stream.received else problem.text, STYLES[problem.level])
    return text


def _age(age_s: float) -> str:
    return f"{1000 * age_s:.0f} ms" if abs(age_s) < 1.0 else f"{age_s:.0f} s"


def _keys(status: RecorderStatus | None) -> Text:
    recording = status is not None and status.state == RecorderState.RECORDING
    keys = {"s": "stop" if recording else "start"}
    keys |= {"d": "discard", "f": "mark failure"} if recording else {"p": "prompt"}
    keys |= {"h": "help", "q": "quit"}
    text = Text()
    for key, meaning in keys.items():
        text.append(f" {key} ", "reverse").append(f" {meaning}   ", "dim")
    return text


def _input(line: LineEditor) -> Text:
    before, at, behind = (
        line.text[: line.cursor],
        line.text[line.cursor : line.cursor + 1],
        line.text[line.cursor + 1 :],
    )
    text = Text.assemble(("prompt: ", "bold cyan"), before, (at or " ", "reverse"), behind, overflow="fold")
    return text.append("   enter: set   esc: leave   ↑: the one before", "dim")
