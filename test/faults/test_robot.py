"""A robot that does not do what it is told: its controller is deactivated, or something holds the arm."""

from __future__ import annotations

import numpy as np
import pytest
from guarded import CONTROLLER, Guarded, safety, violations
from vla_msgs.msg import CommandStatus

from vla_core.action_chunk import ActionChunk
from vla_ros.time import to_ns

pytestmark = pytest.mark.ros


def test_a_controller_that_is_deactivated_is_a_fault_until_it_is_active_and_cleared(robot: Guarded) -> None:
    robot.set_in_motion()
    robot.require_within_limits(500)
    began_ns = robot.watch.host.clock.now_ns()
    robot.watch.switch_controller(active=False)
    try:
        robot.run(0.2)
        cut_off = violations(robot.operator.sim)  # by who deactivates it: it stops writing in the middle of a motion
        robot.run(0.8)
        message = "nothing from the controller 'fr3_arm_controller' for"
        robot.require_fault("controller_inactive", message, safety().controller_timeout_ms, began_ns, allowed=cut_off)
    finally:
        robot.watch.switch_controller(active=True)
    robot.end_policy()
    robot.run(0.4)
    robot.operator.clear_fault()
    robot.operator.arm()
    assert robot.run(0.2)[0].state == CommandStatus.ARMED


def test_an_arm_that_is_held_gives_way(robot: Guarded) -> None:
    """It is steered into the table."""

    def down(chunk: ActionChunk) -> ActionChunk:
        chunk.actions[:, 1] += np.linspace(0.0, 1.5, len(chunk.actions))
        return chunk

    robot.set_in_motion()
    robot.policy.does = down
    robot.run(3.2)
    limit = safety().max_tracking_error
    held = [one for one in robot.watch.messages[CONTROLLER] if np.abs(one.error.positions).max() > limit]
    assert held
    robot.require_fault("tracking_error", "something holds the arm", 20.0, to_ns(held[0].header.stamp))
    last = robot.watch.messages[CONTROLLER][-1]
    assert np.abs(last.error.positions).max() < limit / 2  # it does not press any longer
