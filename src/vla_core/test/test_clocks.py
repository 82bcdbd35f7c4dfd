"""The clock of a node while the system's clock is set."""

from __future__ import annotations

import time

import pytest

from vla_core.clocks import SteadyWallClock

SECOND = 1_000_000_000


@pytest.mark.parametrize("step_s", [10, -10])
def test_a_step_of_the_system_clock_moves_nothing(monkeypatch: pytest.MonkeyPatch, step_s: int) -> None:
    system_ns, monotonic_ns = 1_800_000_000 * SECOND, 5_000 * SECOND
    monkeypatch.setattr(time, "time_ns", lambda: system_ns)
    monkeypatch.setattr(time, "monotonic_ns", lambda: monotonic_ns)
    clock = SteadyWallClock()
    assert clock.now_ns() == system_ns
    before_ns = clock.now_ns()
    system_ns += 3 * SECOND + step_s * SECOND
    monotonic_ns += 3 * SECOND
    assert clock.now_ns() == before_ns + 3 * SECOND
    assert clock.drift_ns() == step_s * SECOND
    # what the middleware received a second ago, by the system's clock, came a second ago
    assert clock.at_system_time(system_ns - SECOND) == clock.now_ns() - SECOND
    assert clock.at_system_time(system_ns + SECOND) == clock.now_ns()  # never later than now
