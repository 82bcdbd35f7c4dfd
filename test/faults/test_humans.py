"""Humans who forbid the arm to move."""

from __future__ import annotations

import pytest
from guarded import Guarded
from vla_msgs.msg import CommandStatus

from vla.ros.operator import OperatorError

pytestmark = pytest.mark.ros
DEADMAN_MS = 200.0


def test_the_emergency_stop_is_latched_until_it_is_released_and_cleared(robot: Guarded) -> None:
    robot.set_in_motion()
    began_ns = robot.watch.host.clock.now_ns()
    robot.watch.press_emergency_stop()
    robot.run(0.6)
    robot.require_fault("emergency_stop", "the emergency stop is pressed", 10.0, began_ns)
    with pytest.raises(OperatorError, match="the emergency stop is pressed"):
        robot.operator.clear_fault()
    robot.watch.press_emergency_stop(pressed=False)
    robot.run(0.2)
    assert robot.operator.command.state == CommandStatus.FAULT
    robot.operator.clear_fault()
    assert robot.run(0.2)[0].state == CommandStatus.READY


@pytest.mark.parametrize("says", [False, None], ids=["released", "silent"])
def test_a_deadman_switch_that_is_let_go_holds_the_arm_until_it_is_resumed(robot: Guarded, says: bool | None) -> None:
    robot.set_in_motion()
    began_ns = robot.watch.host.clock.now_ns()
    robot.watch.deadman = says
    command, _ = robot.run(0.8)
    assert (command.state, command.fault) == (CommandStatus.HOLDING, "")
    assert "the deadman switch is not held" in command.message
    robot.require_stopping(50.0 + (DEADMAN_MS if says is None else 0.0), began_ns)
    robot.require_safe(500)
    with pytest.raises(OperatorError, match="the deadman switch is not held"):
        robot.operator.resume()
    robot.watch.deadman = True
    robot.run(0.2)
    robot.operator.resume()
    command, _ = robot.run(1.0)
    assert command.state == CommandStatus.RUNNING
    assert robot.watch.speed() > 0.01
    robot.require_within_limits(2000)


def test_a_stop_that_the_operator_asks_for_is_latched(robot: Guarded) -> None:
    robot.set_in_motion()
    began_ns = robot.watch.host.clock.now_ns()
    robot.operator.stop_arm()
    robot.run(0.6)
    robot.require_fault("stopped", "stopped by the operator", 10.0, began_ns)
