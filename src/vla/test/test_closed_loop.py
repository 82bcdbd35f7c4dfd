"""The figures of an episode are those of its end, also where a status is still on its way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="needs rclpy and the built interfaces")

from vla_msgs.msg import CommandStatus, SimStatus

from vla.ros.closed_loop import _last_status
from vla_ros.time import to_time

MS = 1_000_000
pytestmark = pytest.mark.ros


class Arriving:
    """An operator to whom one status after the other comes while it waits."""

    def __init__(self, command: list[CommandStatus], sim: list[SimStatus]) -> None:
        self._command, self._sim = iter(command), iter(sim)

    def wait_for_command(self, condition: Callable[[Any], bool], what: str) -> Any:
        return self._first(self._command, condition, what)

    def wait_for_sim(self, condition: Callable[[Any], bool], what: str) -> Any:
        return self._first(self._sim, condition, what)

    @staticmethod
    def _first(statuses: Iterator[Any], condition: Callable[[Any], bool], what: str) -> Any:
        return next(status for status in statuses if condition(status))


def command(at_ns: int, rate_hz: float) -> CommandStatus:
    status = CommandStatus(command_rate_hz=rate_hz)
    status.header.stamp = to_time(at_ns)
    return status


def sim(at_ns: int, since_reset_s: float) -> SimStatus:
    status = SimStatus(duration_s=since_reset_s)
    status.header.stamp = to_time(at_ns)
    return status


def test_the_status_of_the_end_is_waited_for() -> None:
    statuses = [command(9_300 * MS, 90.0), command(9_400 * MS, 98.0), command(9_500 * MS, 100.0)]
    operator = Arriving(statuses, [sim(9_540 * MS, 1.5), sim(9_550 * MS, 1.6)])
    assert _last_status(operator, 1.6).command_rate_hz == 100.0  # type: ignore[arg-type]
