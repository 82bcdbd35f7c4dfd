"""How a stream arrives: rate, age, counts."""

from __future__ import annotations

from collections import deque

_WINDOW_NS = 2_000_000_000


class StreamMonitor:
    """Counts a stream's messages and measures its rate over the last two seconds, by stamps, so that a burst is no rate."""

    def __init__(self) -> None:
        self.received = 0
        self.out_of_order = 0
        self._newest_ns: int | None = None
        self._recent: deque[int] = deque()

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
