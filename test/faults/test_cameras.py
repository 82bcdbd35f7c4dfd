"""Cameras that fall silent, freeze, or stamp their images wrongly."""

from __future__ import annotations

import pytest
from guarded import FROZEN_AFTER_MS, Guarded, safety
from saboteur import Sabotage, frozen, lost, offset, old_stamps
from vla_msgs.msg import CommandStatus, PolicyStatus

pytestmark = pytest.mark.ros
STEP_MS = 1e3 / 30
STALE_MS = safety().max_observation_age_ms + STEP_MS
BLIND = "no complete observation for more than 100 ms: nothing is inferred"

BAD = {
    "gone": (lambda: lost, STALE_MS, "'wrist': the last message on /relayed/wrist/image_raw is"),
    "frozen": (
        frozen,
        FROZEN_AFTER_MS + STEP_MS + STALE_MS,
        "camera 'wrist' on /relayed/wrist/image_raw: the same image for",
    ),
    "old_stamps": (old_stamps, STALE_MS, BLIND),
    "offset": (lambda: offset(-1.5), STALE_MS, BLIND),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_camera_slows_the_arm_down_at_once_and_then_stops_it(robot: Guarded, kind: str) -> None:
    sabotage, within_ms, message = BAD[kind]
    require_blind(robot, sabotage(), within_ms, message, "wrist")


def test_the_camera_that_is_the_steps_clock_may_go_too(robot: Guarded) -> None:
    require_blind(robot, lost, STALE_MS, "'scene': the last message on", "scene")


def require_blind(robot: Guarded, sabotage: Sabotage, within_ms: float, message: str, *which: str) -> None:
    """Nothing is inferred any more, the arm comes to rest, the fault is latched, and everything is well again afterwards."""
    robot.set_in_motion()
    robot.saboteur.does(sabotage, *which)
    _, policy = robot.run(0.6)
    assert policy.state == PolicyStatus.RUNNING
    assert BLIND in policy.message
    assert message in policy.message
    assert policy.stale_observations > 5
    chunks = policy.chunks
    robot.run(0.6)
    robot.require_stopping(within_ms)
    command = robot.require_fault("observation_stale", message, within_ms + safety().silence_ms)
    robot.saboteur.ends()
    command, policy = robot.run(1.0)
    assert policy.chunks > chunks + 1
    assert policy.message == ""
    assert command.state == CommandStatus.FAULT  # latched
    robot.require_safe(1000)


def test_images_that_are_late_for_a_moment_cost_a_moment(robot: Guarded) -> None:
    """Shorter than the silence that is a fault: the arm slows down, and goes on by itself."""
    robot.set_in_motion()
    robot.saboteur.does(lost, "scene")
    robot.run(0.2)
    robot.saboteur.ends()
    command, policy = robot.run(1.0)
    assert (command.state, policy.state, policy.message) == (CommandStatus.RUNNING, PolicyStatus.RUNNING, "")
    assert policy.stale_observations > 0
    robot.require_within_limits(1500)
