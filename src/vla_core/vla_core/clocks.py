"""Clocks. Times are integer nanoseconds; whoever needs the time is handed a clock."""

from __future__ import annotations

import time


class ManualClock:
    """A clock that stands still until it is set: for tests, for lockstep, and for reading recorded data."""

    def __init__(self, now_ns: int = 0) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        return self._now_ns

    def set_ns(self, now_ns: int) -> None:
        self._now_ns = now_ns


class SteadyWallClock:
    """System time when it was made, monotonic from there on: comparable with header stamps, and never steps.

    A later step of the system clock shows as :meth:`drift_ns` and does not move what was planned.

    Args:
        offset_ns: that of another process's clock on this machine, to go by that one.

    Attributes:
        offset_ns: what it is ahead of the monotonic clock [ns].
    """

    def __init__(self, offset_ns: int | None = None) -> None:
        self.offset_ns = time.time_ns() - time.monotonic_ns() if offset_ns is None else offset_ns

    def now_ns(self) -> int:
        return time.monotonic_ns() + self.offset_ns

    def at_system_time(self, system_ns: int) -> int:
        """What this clock showed at a time just passed, given as system time [ns]; never later than now."""
        return min(system_ns - self.drift_ns(), self.now_ns())

    def drift_ns(self) -> int:
        """System time minus this clock [ns]: the sum of the steps and slews of the system clock since this was made."""
        return time.time_ns() - self.now_ns()
