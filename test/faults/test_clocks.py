"""A clock that is stepped by ten seconds, on the machine of the cameras, of the robot's driver, or of both."""

from __future__ import annotations

import pytest
from guarded import Guarded, safety
from saboteur import offset
from vla_msgs.msg import CommandStatus, PolicyStatus

pytestmark = pytest.mark.ros
STALE_MS = safety().max_observation_age_ms + 1e3 / 30
STREAMS = ("scene", "wrist", "joints")


@pytest.mark.parametrize(
    ("seconds", "message"),
    [(10.0, "stamped 10.0 s ahead of this computer's clock"), (-10.0, "s behind this computer's clock")],
    ids=["forward", "back"],
)
def test_stamps_of_a_clock_that_was_stepped_are_refused_and_counted(
    robot: Guarded, seconds: float, message: str
) -> None:
    robot.set_in_motion()
    jumps = {stream.name: stream.clock_jumps for stream in robot.policy_statuses[-1].streams}
    robot.saboteur.does(offset(seconds), *STREAMS)
    _, policy = robot.run(1.0)
    assert policy.state == PolicyStatus.RUNNING
    assert message in policy.message
    for stream in policy.streams:
        assert stream.clock_jumps - jumps[stream.name] == (stream.name in STREAMS)
    robot.require_stopping(STALE_MS)
    robot.require_fault("observation_stale", message, STALE_MS + safety().silence_ms)
    robot.saboteur.ends()
    command, policy = robot.run(1.0)
    assert policy.message == ""
    assert command.state == CommandStatus.FAULT  # latched


def test_a_clock_of_the_joint_states_alone_is_no_observation(robot: Guarded) -> None:
    robot.set_in_motion()
    robot.saboteur.does(offset(10.0), "joints")
    robot.run(1.0)
    robot.require_fault("observation_stale", "no complete observation", STALE_MS + safety().silence_ms)
