"""How long until a chunk is there: measured for each, and forgotten after some."""

from __future__ import annotations

from collections import deque

import numpy as np

WINDOW = 10  # as many as in arXiv 2506.07339, algorithm 1


class DelayEstimate:
    """A cautious estimate of the next delay: a high quantile of the last few.

    It forgets: a slow call while memory was warmed up counts for ``window`` chunks and no longer.

    Args:
        window: as many of the last delays count.
        quantile: of them, 1 is the largest.
    """

    def __init__(self, window: int = WINDOW, quantile: float = 1.0) -> None:
        self._quantile = quantile
        self._delays: deque[int] = deque(maxlen=window)

    def measured(self, delay_ns: int) -> None:
        """Takes the time from an observation's stamp until its chunk was there [ns]."""
        self._delays.append(delay_ns)

    def next_ns(self) -> int:
        """How long the next one may take [ns]; 0 before the first was measured."""
        if not self._delays:
            return 0
        return int(np.quantile(self._delays, self._quantile, method="higher"))

    def reset(self) -> None:
        self._delays.clear()
