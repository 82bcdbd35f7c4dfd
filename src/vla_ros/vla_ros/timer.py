"""When something that a node does at a steady rate is due."""

from __future__ import annotations

from collections.abc import Callable

TimerHandler = Callable[[int], None]  # now [ns]


class Timer:
    """A handler that is due at every whole multiple of its period."""

    def __init__(self, period_ns: int, handler: TimerHandler) -> None:
        self.period_ns = period_ns
        self.due_ns: int | None = None
        self.missed = 0
        self._handler = handler

    def fire(self, now_ns: int) -> None:
        """Runs the handler if it is due. Deadlines that went by unserved are counted and skipped, never caught up."""
        if self.due_ns is None:
            self.due_ns = -(-now_ns // self.period_ns) * self.period_ns
        if now_ns < self.due_ns:
            return
        late = (now_ns - self.due_ns) // self.period_ns
        self.missed += late
        self.due_ns += (late + 1) * self.period_ns
        self._handler(now_ns)
