"""Waiting for a deadline, on a clock that is moved by hand."""

from __future__ import annotations

import pytest

from vla_core.clocks import ManualClock
from vla_ros.punctual import head_start_ns, sleep_until, watch_until

DUE_NS = 10_000_000
STEP_NS = 100


class System(ManualClock):
    """A clock that goes on by a step whenever it is read, and a sleep that ends late."""

    def __init__(self, late_ns: int = 0, now_ns: int = 0) -> None:
        super().__init__(now_ns)
        self.late_ns = late_ns
        self.slept_ns: list[int] = []

    def now_ns(self) -> int:
        self.set_ns(super().now_ns() + STEP_NS)
        return super().now_ns()

    def sleep(self, wait_s: float) -> None:
        self.slept_ns.append(round(wait_s * 1e9))
        self.set_ns(super().now_ns() + self.slept_ns[-1] + self.late_ns)

    def late_after(self, head_start_ns: int) -> int:
        """How late it is after waiting for the deadline [ns]."""
        sleep_until(DUE_NS - head_start_ns, self, self.sleep)
        watch_until(DUE_NS, self)
        return super().now_ns() - DUE_NS


@pytest.mark.parametrize("late_ns", [0, 60_000, 490_000])
def test_a_system_that_wakes_late_does_not_make_it_late(late_ns: int) -> None:
    assert 0 <= System(late_ns).late_after(500_000) <= STEP_NS


def test_it_is_as_late_as_the_system_is_beyond_the_head_start() -> None:
    assert System(800_000).late_after(500_000) == pytest.approx(300_000, abs=3 * STEP_NS)


def test_it_sleeps_to_the_end_without_a_head_start() -> None:
    system = System()
    system.late_after(0)
    assert system.slept_ns == [DUE_NS - STEP_NS]


def test_a_deadline_that_is_over_is_not_waited_for() -> None:
    system = System(now_ns=2 * DUE_NS)
    assert system.late_after(500_000) <= DUE_NS + 3 * STEP_NS
    assert system.slept_ns == []


@pytest.mark.parametrize(("period_ns", "head_start"), [(10_000_000, 500_000), (1_000_000, 300_000)])
def test_the_head_start_takes_its_share_of_a_processor_at_most(period_ns: int, head_start: int) -> None:
    assert head_start_ns(period_ns) == head_start
