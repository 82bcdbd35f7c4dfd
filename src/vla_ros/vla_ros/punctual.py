"""Waiting for a deadline more exactly than the system wakes a process: awake before it, and watching the clock."""

from __future__ import annotations

import time
from collections.abc import Callable

from vla_core.ports import Clock

_LONGEST_NS = 500_000
_LONGEST_SHARE = 0.3


def head_start_ns(period_ns: int) -> int:
    """How long before its deadlines a loop should wake [ns].

    Longer than a system takes, as a rule, to wake a process: 500 us, but at most 0.3 periods, for this much of a processor
    it takes.
    """
    return min(_LONGEST_NS, round(_LONGEST_SHARE * period_ns))


def sleep_until(due_ns: int, clock: Clock, sleep: Callable[[float], None] = time.sleep) -> int:
    """Sleeps until a time on a clock [ns]; one that is over is not waited for.

    Args:
        due_ns: the time.
        clock: that it is on.
        sleep: for tests; takes seconds.

    Returns:
        What the clock shows then [ns].
    """
    wait_ns = due_ns - clock.now_ns()
    if wait_ns > 0:
        sleep(wait_ns * 1e-9)
    return clock.now_ns()


def watch_until(due_ns: int, clock: Clock) -> None:
    """Watches a clock until it shows a time [ns]."""
    while clock.now_ns() < due_ns:
        pass
