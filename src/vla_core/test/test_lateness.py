"""How late ticks began."""

from __future__ import annotations

import math

from vla_core.execution.lateness import Lateness, LatenessMeter


def test_a_reading_is_of_what_came_since_the_one_before() -> None:
    meter = LatenessMeter()
    for late_us in (30, 10, 900, 20, 40):
        meter.note(late_us * 1000)
    assert meter.read() == Lateness(p50_us=30.0, max_us=900.0)
    meter.note(5000)
    assert meter.read() == Lateness(p50_us=5.0, max_us=5.0)


def test_nothing_is_known_before_the_first_tick() -> None:
    found = LatenessMeter().read()
    assert math.isnan(found.p50_us)
    assert math.isnan(found.max_us)


def test_what_nobody_reads_does_not_fill_the_memory(monkeypatch) -> None:
    monkeypatch.setattr("vla_core.execution.lateness._MOST", 3)
    meter = LatenessMeter()
    for late_ns in (1000, 2000, 3000, 9000):
        meter.note(late_ns)
    assert meter.read().max_us == 3.0
