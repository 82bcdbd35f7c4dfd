"""When something that a node does at a steady rate is due."""

from __future__ import annotations

from collections.abc import Callable

from vla_core.execution.lateness import LatenessMeter

TimerHandler = Callable[[int], None]  # now [ns]


class Timer:
    """A handler that is due at every whole multiple of its period.

    Attributes:
        due_ns: when it is due next [ns]; None before it was asked for the first time.
        missed: deadlines that went by unserved.
        lateness: how late its handler was called; for pacers of real time to fill.
    """

    def __init__(self, period_ns: int, handler: TimerHandler) -> None:
        self.period_ns = period_ns
        self.due_ns: int | None = None
        self.missed = 0
        self.lateness = LatenessMeter()
        self._handler = handler

    def fire(self, now_ns: int) -> int | None:
        """Runs the handler if it is due. Deadlines that went by unserved are counted and skipped, never caught up.

        Returns:
            How long ago the deadline was [ns]; None if it was not due.
        """
        if self.due_ns is None:
            self.due_ns = -(-now_ns // self.period_ns) * self.period_ns
        late_ns = now_ns - self.due_ns
        if late_ns < 0:
            return None
        missed = late_ns // self.period_ns
        self.missed += missed
        self.due_ns += (missed + 1) * self.period_ns
        self._handler(now_ns)
        return late_ns
