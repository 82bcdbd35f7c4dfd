"""The pacer of a real robot, and of a simulation that runs in real time."""

from __future__ import annotations

from vla_core.clocks import SteadyWallClock
from vla_ros.host import NodeHost

_LONGEST_WAIT_NS = 20_000_000


class RealTimePacer:
    """Delivers messages as they come and fires timers when they are due."""

    holds_back = False

    def __init__(self) -> None:
        self.clock = SteadyWallClock()

    def start(self, host: NodeHost) -> None:
        return

    def turn(self, host: NodeHost) -> None:
        if (quiet_ns := self._until_a_timer(host)) > 0:
            host.wait(quiet_ns, for_all=False)
        host.run_jobs()
        for entry in host.topics:
            entry.take()
            entry.deliver(self.clock.at_system_time)
        for timer in host.timers:
            late_ns = timer.fire(self.clock.now_ns())
            if late_ns is not None:
                timer.lateness.note(late_ns)

    def _until_a_timer(self, host: NodeHost) -> int:
        """Time until the first timer is due, and at most 20 ms [ns]."""
        now_ns = self.clock.now_ns()
        due_ns = min((timer.due_ns or now_ns for timer in host.timers), default=now_ns + _LONGEST_WAIT_NS)
        return min(max(0, due_ns - now_ns), _LONGEST_WAIT_NS)
