"""How long until a chunk is there: measured for each, and forgotten after some."""

from __future__ import annotations

from collections import deque

WINDOW = 10  # as many as in arXiv 2506.07339, algorithm 1


class DelayEstimate:
    """Estimates of the next delay from the last few.

    They forget: a slow call while memory was warmed up counts for ``window`` chunks and no longer.

    Args:
        window: as many of the last delays count.
    """

    def __init__(self, window: int = WINDOW) -> None:
        self._delays: deque[int] = deque(maxlen=window)

    def measured(self, delay_ns: int) -> None:
        """Takes the time from an observation's stamp until its chunk was there [ns]."""
        self._delays.append(delay_ns)

    def longest_ns(self) -> int:
        """How long the next one may take [ns]; 0 before the first was measured."""
        return max(self._delays, default=0)

    def newest_ns(self) -> int:
        """How long the last one took [ns]; 0 before the first was measured."""
        return self._delays[-1] if self._delays else 0
