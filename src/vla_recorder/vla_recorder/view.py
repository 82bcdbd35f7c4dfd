"""How a recorder's status looks in a terminal.

::

    ──────────────────────────────────────────────────────────────────────────────────────────────────────
     ● REC   0:12.4  371 rows  episode_12.hdf5           12 saved, 2 of them failed   48.2 GB free, 14 h
     “put the cube on the mark”  12 of 50
     ✓ scene      30 Hz   12 ms   ! wrist      14 Hz   31 ms   ✓ joints   1000 Hz    1 ms
     ! wrist: slow: 30 Hz expected
      s  stop   d  discard   f  failure   r  again   p  prompt   h  help   q  quit
"""

from __future__ import annotations

import math
from pathlib import PurePath

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from vla_core.alignment import StreamStatus
from vla_recorder.console import Level, Notice
from vla_recorder.line_editor import LineEditor
from vla_recorder.problems import RECORDER, problems_of
from vla_recorder.sizes import size_text
from vla_recorder.status import RecorderState, RecorderStatus

STYLES: dict[Level, str] = {"info": "", "success": "green", "warning": "yellow", "error": "bold red"}
_MARKS: dict[Level, str] = {"info": "✓", "success": "✓", "warning": "!", "error": "✗"}
_STATES = {
    RecorderState.IDLE: ("○ READY", "bold cyan"),
    RecorderState.RECORDING: ("● REC", "bold white on red"),
    RecorderState.FINISHING: ("◌ SAVING", "bold black on yellow"),
    RecorderState.FAILED: ("✗ FAILED", "bold red"),
}
_WRITING = (RecorderState.RECORDING, RecorderState.FINISHING)
_STREAM_WIDTH = 38  # with three columns at 120 characters, two at 80
_LOW_DISK_S = 600.0


def render(status: RecorderStatus | None, line: LineEditor | None) -> RenderableType:
    """The live block: state and counts, streams, what is wrong, and the keys or the prompt that is being typed."""
    problems = problems_of(status)
    parts: list[RenderableType] = [Rule(style="dim")]  # the log is above
    if status is not None:
        parts += [_Ends(_headline(status), _counts(status)), _prompt(status)]
        if status.streams:
            parts.append(_Streams(status.streams, problems))
    parts += [_problem(about, notice) for about, notice in problems.items()]
    if status is not None and status.state not in _WRITING and status.episodes:
        parts.append(_last(status))
    parts.append(_input(line) if line is not None else _keys(status))
    return Group(*parts)


def render_notice(notice: Notice) -> Text:
    """A line of the log."""
    return Text(notice.text, STYLES[notice.level])


class _Ends:
    """Two texts at the two ends of a line; below each other where it is too narrow."""

    def __init__(self, left: Text, right: Text) -> None:
        self._left, self._right = left, right

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        space = options.max_width - self._left.cell_len - self._right.cell_len
        if space < 2:
            yield self._left
            yield Text(" ").append_text(self._right)
        else:
            yield Text.assemble(self._left, " " * space, self._right)


class _Streams:
    """The streams in as many columns as there is room for, read from left to right."""

    def __init__(self, streams: tuple[StreamStatus, ...], problems: dict[str, Notice]) -> None:
        self._streams, self._problems = streams, problems

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = max(1, options.max_width // _STREAM_WIDTH)
        name_width = max(len(stream.name) for stream in self._streams)
        grid = Table.grid(padding=(0, 0), expand=False)
        for _ in range(columns):
            grid.add_column(no_wrap=True)
        cells = [_stream(stream, self._problems.get(stream.name), name_width) for stream in self._streams]
        for start in range(0, len(cells), columns):
            grid.add_row(*cells[start : start + columns])
        yield grid


class _Keys:
    """Keys with their meanings, in one line where that is possible."""

    def __init__(self, keys: dict[str, str]) -> None:
        self._keys = keys

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        entries = [
            Text.assemble((f" {key} ", "reverse"), (f" {meaning}", "dim")) for key, meaning in self._keys.items()
        ]
        room = options.max_width - sum(entry.cell_len for entry in entries)
        yield Text(" " * max(1, min(3, room // len(entries)))).join(entries)


def _headline(status: RecorderStatus) -> Text:
    label, style = _STATES[status.state]
    text = Text.assemble((f" {label} ", style), "  ")
    if status.state in _WRITING:
        minutes, seconds = divmod(status.duration_s, 60.0)
        text.append(f"{minutes:.0f}:{seconds:04.1f}  {status.steps} rows", "bold")
        text.append(f"  {PurePath(status.episode_path).name}")
        if status.queue_steps:
            text.append(f"  {status.queue_steps} waiting for the disk", "yellow")
        if status.outcome == "failure":
            text.append("  → failure", "bold yellow")
    return text


def _counts(status: RecorderStatus) -> Text:
    text = Text().append(f"{status.episodes} saved", "green" if status.episodes else "dim")
    if status.failures:
        text.append(f", {status.failures} of them failed", "yellow")
    if status.disk_free_bytes:
        low = status.disk_free_s < _LOW_DISK_S
        text.append(f"   {size_text(status.disk_free_bytes)} free", "yellow" if low else "dim")
        if not math.isnan(status.disk_free_s):
            text.append(f", {_long(status.disk_free_s)}", "yellow" if low else "dim")
    return text


def _prompt(status: RecorderStatus) -> Text:
    text = Text(" ")
    text.append(f"“{status.prompt}”" if status.prompt else "no prompt", "italic" if status.prompt else "yellow")
    for entry in status.prompts:
        if entry.prompt == status.prompt:
            done = not entry.missing
            text.append(f"  {entry.recorded} of {entry.wanted}" + (" ✓" if done else ""), "green" if done else "cyan")
    others = sum(entry.missing for entry in status.prompts if entry.prompt != status.prompt)
    if others:
        text.append(f"   {others} of other prompts wanted", "dim")
    return text


def _stream(stream: StreamStatus, problem: Notice | None, name_width: int) -> Text:
    level = problem.level if problem else "success"
    style = STYLES[problem.level] if problem else ""
    text = Text(" ", no_wrap=True)
    text.append(_MARKS[level], STYLES[level]).append(f" {stream.name:<{name_width}} ", style or "dim")
    rate, age = ("-", "-") if stream.received == 0 else (f"{stream.rate_hz:.0f} Hz", _age(stream.age_s))
    return text.append(f"{rate:>8}{age:>8}  ", style)


def _problem(about: str, notice: Notice) -> Text:
    text = notice.text if about == RECORDER else f"{about}: {notice.text}"
    return Text(f" {_MARKS[notice.level]} {text}", STYLES[notice.level])


def _last(status: RecorderStatus) -> Text:
    """How the last episode was; what was wrong with it, and the offer to record it again."""
    name = PurePath(status.episode_path).name
    if status.last_good:
        return Text.assemble((" ✓ ", "green"), (f"{name} is good", "dim"))
    text = Text(f" ! {name}: {status.verdict.replace(chr(10), '; ')}", "yellow")
    return text.append("   r records it again", "bold yellow")


def _age(age_s: float) -> str:
    return f"{1000 * age_s:.0f} ms" if abs(age_s) < 1.0 else f"{age_s:.0f} s"


def _long(seconds: float) -> str:
    return f"{seconds / 3600:.0f} h" if seconds >= 7200 else f"{seconds / 60:.0f} min"


def _keys(status: RecorderStatus | None) -> _Keys:
    recording = status is not None and status.state == RecorderState.RECORDING
    failing = status is not None and status.outcome == "failure"
    keys = {"s": "stop" if recording else "start"}
    if recording:
        keys |= {"d": "discard"} | ({"g": "success"} if failing else {"f": "failure"})
    if recording or (status is not None and status.episodes):
        keys["r"] = "again"
    keys["p"] = "prompt"
    if status is not None and status.prompts:
        keys["n"] = "next"
    return _Keys(keys | {"h": "help", "q": "quit"})


def _input(line: LineEditor) -> Text:
    before, at, behind = (
        line.text[: line.cursor],
        line.text[line.cursor : line.cursor + 1],
        line.text[line.cursor + 1 :],
    )
    text = Text.assemble(("prompt: ", "bold cyan"), before, (at or " ", "reverse"), behind, overflow="fold")
    return text.append("   enter: set   esc: leave   ↑: the one before", "dim")
