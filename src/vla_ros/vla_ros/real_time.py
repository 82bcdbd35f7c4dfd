"""The pacer of a real robot, and of a simulation that runs in real time."""

from __future__ import annotations

import time
from collections.abc import Sequence

from vla_core.clocks import SteadyWallClock
from vla_ros.host import NodeHost
from vla_ros.timer import Timer

_LONGEST_WAIT_NS = 20_000_000
_SLACK_NS = 1_000_000  # handling a message may take so long


class RealTimePacer:
    """Delivers messages as they come and fires timers when they are due."""

    holds_back = False

    def __init__(self) -> None:
        self.clock = SteadyWallClock()

    def start(self, host: NodeHost) -> None:
        return

    def turn(self, host: NodeHost) -> None:
        urgent = [timer for timer in host.timers if timer.urgent]
        quiet_ns = self._until(urgent) - _SLACK_NS
        if quiet_ns > 0:
            host.wait(min(quiet_ns, self._until(host.timers)), for_all=False)
        if (left_ns := self._until(urgent)) < _SLACK_NS:
            # not by the middleware, whose locks other threads hold; and what comes now is taken behind the tick
            time.sleep(left_ns * 1e-9)
            self._fire(urgent)
        host.run_jobs()
        for entry in host.topics:
            entry.take()
            while entry.waiting:
                self._fire(urgent)
                entry.deliver(self.clock.at_system_time, 1)
        self._fire(host.timers)

    def _until(self, timers: Sequence[Timer]) -> int:
        """Time until the first of the timers is due, and at most 20 ms [ns]."""
        now_ns = self.clock.now_ns()
        due_ns = min((timer.due_ns or now_ns for timer in timers), default=now_ns + _LONGEST_WAIT_NS)
        return min(max(0, due_ns - now_ns), _LONGEST_WAIT_NS)

    def _fire(self, timers: Sequence[Timer]) -> None:
        for timer in timers:
            late_ns = timer.fire(self.clock.now_ns())
            if late_ns is not None:
                timer.lateness.note(late_ns)
