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
        now_ns = self.clock.now_ns()
        due = min((timer.due_ns or now_ns for timer in host.timers), default=now_ns + _LONGEST_WAIT_NS)
        host.wait(min(due - now_ns, _LONGEST_WAIT_NS), for_all=False)
        host.run_jobs()
        for entry in host.topics:
            entry.take()
            entry.deliver(self.clock.at_system_time)
        for timer in host.timers:
            timer.fire(self.clock.now_ns())
