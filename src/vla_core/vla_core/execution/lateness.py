"""How late what is due at a steady rate begins."""

from __future__ import annotations

import math
from dataclasses import dataclass

_MOST = 100_000  # values that are kept if nobody reads them


@dataclass(frozen=True)
class Lateness:
    """Of the ticks since the last reading [us]; NaN if there were none."""

    p50_us: float
    max_us: float


class LatenessMeter:
    """Collects how late ticks were until somebody reads it."""

    def __init__(self) -> None:
        self._late_ns: list[int] = []

    def note(self, late_ns: int) -> None:
        """Takes the time from a deadline to the beginning of its tick, or to when its command was sent [ns]."""
        if len(self._late_ns) < _MOST:
            self._late_ns.append(late_ns)

    def read(self) -> Lateness:
        """Returns the lateness of the ticks since the last call, and begins anew."""
        late_ns, self._late_ns = sorted(self._late_ns), []
        if not late_ns:
            return Lateness(math.nan, math.nan)
        return Lateness(late_ns[len(late_ns) // 2] * 1e-3, late_ns[-1] * 1e-3)
