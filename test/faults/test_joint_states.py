"""Joint states that are gone, come in another order, lack a joint, or jump."""

from __future__ import annotations

import numpy as np
import pytest
from guarded import Guarded, safety
from saboteur import jumped, lacking, lost, permuted
from vla_msgs.msg import CommandStatus, PolicyStatus

from vla_ros.time import to_ns

pytestmark = pytest.mark.ros
STEP_MS = 1e3 / 30


def test_joint_states_that_are_gone_stop_the_arm(robot: Guarded) -> None:
    robot.set_in_motion()
    robot.saboteur.does(lost, "joints")
    robot.run(1.0)
    robot.require_fault("joint_states_gone", "no joint states for", safety().joint_state_timeout_ms)


def test_a_joint_that_is_lacking_stops_the_arm(robot: Guarded) -> None:
    robot.set_in_motion()
    robot.saboteur.does(lacking, "joints")
    _, policy = robot.run(1.0)
    robot.require_fault("joint_states_malformed", "(missing: fr3_joint7)", 10.0)
    assert "(missing: fr3_joint7)" in policy.message


def test_a_joint_that_jumps_stops_the_arm_along_what_was_commanded(robot: Guarded) -> None:
    robot.set_in_motion()
    robot.saboteur.does(jumped(2, 0.3), "joints")
    robot.run(1.0)
    robot.require_fault("joint_jump", "fr3_joint3 went by 0.3", 10.0)


def test_joints_in_another_order_are_read_by_name(robot: Guarded) -> None:
    robot.set_in_motion()
    robot.policy.seen.clear()
    robot.saboteur.does(permuted, "joints")
    command, policy = robot.run(1.6)
    assert (command.state, command.message) == (CommandStatus.RUNNING, "")
    assert (policy.state, policy.message) == (PolicyStatus.RUNNING, "")
    true = {
        to_ns(state.header.stamp): np.array(state.position) for state in robot.watch.messages["/franka/joint_states"]
    }
    stamps = np.array(sorted(true))
    assert len(robot.policy.seen) >= 5
    for observation in robot.policy.seen:
        nearest = stamps[np.argmin(np.abs(stamps - observation.stamp_ns))]
        np.testing.assert_allclose(observation.proprioception["qpos"][:7], true[nearest], atol=2e-3)
    robot.require_within_limits(1500)
