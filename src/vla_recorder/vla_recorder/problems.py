"""What is wrong with a recorder or its streams, from its status."""

from __future__ import annotations

import re

from vla_core.alignment import StreamStatus
from vla_recorder.console import Notice
from vla_recorder.readiness import is_ahead, is_silent
from vla_recorder.status import RecorderState, RecorderStatus

RECORDER = "recorder"

_SLOW_SHARE = 0.8
_NUMBERS = re.compile(r"[0-9.]+")


def problems_of(status: RecorderStatus | None) -> dict[str, Notice]:
    """What is wrong now, by what it is about: ``recorder``, or the name of a stream."""
    if status is None:
        return {RECORDER: Notice("no recorder answers", "error")}
    problems = {stream.name: problem for stream in status.streams if (problem := problem_of(stream)) is not None}
    if status.message:
        problems[RECORDER] = Notice(status.message, "error" if status.state == RecorderState.FAILED else "warning")
    return problems


def problem_of(stream: StreamStatus) -> Notice | None:
    """What is wrong with a stream now; None if nothing is."""
    expected_hz = stream.expected_rate_hz
    if stream.received == 0:
        return Notice("nothing received", "error")
    if is_silent(stream):
        return Notice(f"silent for {stream.age_s:.1f} s", "error")
    if is_ahead(stream):
        return Notice(f"stamped {-stream.age_s:.1f} s ahead of the clock", "error")
    if stream.rate_hz < _SLOW_SHARE * expected_hz:
        return Notice(f"slow: {expected_hz:g} Hz expected", "warning")
    return None


class Journal:
    """Tells what has changed from one status to the next, once each: for an operator who has no live display.

    A problem whose numbers change is the same problem.
    """

    def __init__(self) -> None:
        self._state: RecorderState | None = None
        self._problems: dict[str, str] = {}

    def changes(self, status: RecorderStatus | None) -> list[Notice]:
        """What is new in a status: another state, problems that began, problems that ended."""
        problems = problems_of(status)
        notices = [*self._state_change(status)]
        for about, notice in problems.items():
            if _kind(notice) != self._problems.get(about):
                notices.append(Notice(f"{about}: {notice.text}", notice.level))
        notices += [Notice(f"{about}: well again") for about in self._problems if about not in problems]
        self._problems = {about: _kind(notice) for about, notice in problems.items()}
        return notices

    def _state_change(self, status: RecorderStatus | None) -> list[Notice]:
        state = status.state if status else None
        if state == self._state or state is None:
            return []
        self._state = state
        return [Notice(f"recorder: {state.name.lower()}")]


def _kind(notice: Notice) -> str:
    return _NUMBERS.sub("", notice.text)
