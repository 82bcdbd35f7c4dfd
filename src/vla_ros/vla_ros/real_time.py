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
        now_ns = self.clock.now_ns()
        due = min((timer.due_ns or now_ns for timer in host.timers), default=now_ns + _LONGEST_WAIT_NS)
        host.wait(min(due - now_ns, _LONGEST_WAIT_NS), for_all=False)
        urgent = [timer for timer in host.timers if timer.urgent]
        if not self._fire(urgent) and (left_ns := self._until(urgent)) < _SLACK_NS:
            time.sleep(left_ns * 1e-9)  # what has come would be in the way of the next tick: it is taken behind it
            self._fire(urgent)
        host.run_jobs()
        for entry in host.topics:
            entry.take()
            while entry.waiting:
                self._fire(urgent)
                entry.deliver(self.clock.at_system_time, 1)
        self._fire(host.timers)

    def _until(self, timers: Sequence[Timer]) -> int:
        """Time until the first of the timers is due [ns]."""
        now_ns = self.clock.now_ns()
        return max(0, min((timer.due_ns or now_ns for timer in timers), default=now_ns + _LONGEST_WAIT_NS) - now_ns)

    def _fire(self, timers: Sequence[Timer]) -> bool:
        """Serves those that are due. Returns whether there was one."""
        served = False
        for timer in timers:
            late_ns = timer.fire(self.clock.now_ns())
            if late_ns is not None:
                timer.lateness.note(late_ns)
                served = True
        return served
