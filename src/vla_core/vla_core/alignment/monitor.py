"""How a stream arrives: rate, age, counts."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

_WINDOW_NS = 2_000_000_000


@dataclass(frozen=True)
class StreamStatus:
    """How one declared stream (one topic) arrives.

    Attributes:
        name: in the embodiment.
        topic: resolved name.
        rate_hz: measured over the last seconds [Hz]; 0 before the second message.
        expected_rate_hz: declared in the embodiment [Hz]; 0 where none is declared.
        age_s: now minus the stamp of the newest message [s]; NaN before the first.
        received: messages since the start.
        out_of_order: messages whose stamp was older than the newest one.
        duplicates: messages whose stamp had come before.
        clock_jumps: times the stamps went back by more than a second, or ahead of the receiver's clock by more than that.
        gaps: times that nothing came for more than 2.5 declared periods.
        largest_gap_s: longest time between two messages since the start [s]; 0 before the second.
        newest_stamp_ns: stamp of the newest message [ns]; 0 before the first.
    """

    name: str
    topic: str
    rate_hz: float
    expected_rate_hz: float
    age_s: float
    received: int
    out_of_order: int = 0
    duplicates: int = 0
    clock_jumps: int = 0
    gaps: int = 0
    largest_gap_s: float = 0.0
    newest_stamp_ns: int = 0


class StreamMonitor:
    """Counts a stream's messages and measures its rate over the last two seconds, by stamps, so that a burst is no rate."""

    def __init__(self) -> None:
        self.received = 0
        self.out_of_order = 0
        self._newest_ns: int | None = None
        self._recent: deque[int] = deque()

    @property
    def newest_ns(self) -> int | None:
        """Largest stamp so far [ns]."""
        return self._newest_ns

    def note(self, stamp_ns: int) -> None:
        """Takes note of a message with this stamp [ns]."""
        self.received += 1
        if self._newest_ns is not None and stamp_ns <= self._newest_ns:
            self.out_of_order += 1
            return
        self._newest_ns = stamp_ns
        self._recent.append(stamp_ns)
        while self._recent[0] < stamp_ns - _WINDOW_NS:
            self._recent.popleft()

    def age_s(self, now_ns: int) -> float:
        """Now minus the newest stamp [s]; NaN before the first message."""
        return float("nan") if self._newest_ns is None else (now_ns - self._newest_ns) * 1e-9

    def rate_hz(self, now_ns: int) -> float:
        """Messages per second over the last two seconds [Hz]; 0 when fewer than two came or the last is too old."""
        if len(self._recent) < 2 or now_ns - self._recent[-1] > _WINDOW_NS:
            return 0.0
        return (len(self._recent) - 1) / ((self._recent[-1] - self._recent[0]) * 1e-9)
