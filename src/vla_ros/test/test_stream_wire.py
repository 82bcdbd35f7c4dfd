"""What command_node and its stream of commands say to each other arrives as it was."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy and the built interfaces")

from vla_core.motion.plan import MotionPlan
from vla_core.motion.polynomial import State
from vla_ros.robot import stream_wire as wire

pytestmark = pytest.mark.ros


def test_a_plan_arrives_as_it_was() -> None:
    random = np.random.default_rng(1)
    states = [State(*random.normal(size=(3, 7))) for _ in range(11)]
    plan = MotionPlan.through(np.cumsum(random.integers(1, 10**9, size=11)) + 1_795_000_000_000_000_000, states)
    origin = random.normal(size=(3, 3))
    found, found_origin = wire.plan_from_bytes(wire.plan_to_bytes(plan, origin))
    np.testing.assert_array_equal(found_origin, origin)
    for name in ("times_ns", "positions", "velocities", "accelerations"):
        np.testing.assert_array_equal(getattr(found, name), getattr(plan, name))
    assert found.times_ns.dtype == np.int64
    middle = int(plan.times_ns[5]) + 1
    np.testing.assert_array_equal(found.state_at(middle), plan.state_at(middle))


@pytest.mark.parametrize("late_ns", [[], [0, 5, 10**12]])
def test_a_report_arrives_as_it_was(late_ns: list[int]) -> None:
    report = wire.Report(told=2**40, missed=3, late_ns=late_ns, problem="a plan came too late: 5 µs")
    found = wire.report_from_bytes(wire.report_to_bytes(report))
    assert (found.told, found.missed, found.late_ns, found.problem) == (2**40, 3, late_ns, report.problem)


def test_a_plan_fits_into_a_datagram() -> None:
    plan = MotionPlan.through(range(100), [State.at_rest(np.zeros(14))] * 100)
    assert len(wire.plan_to_bytes(plan, np.eye(3))) < wire.LARGEST
