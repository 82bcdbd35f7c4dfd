"""What is sent when nothing may be, when the operator ends it, and when a policy outputs anything."""

from __future__ import annotations

import numpy as np
import pytest
from guarded import STATES_HZ, TRAJECTORIES, Guarded
from vla_msgs.msg import CommandStatus, PolicyStatus

from vla_core.action_chunk import ActionChunk
from vla_ros import names

pytestmark = pytest.mark.ros


def test_in_shadow_mode_everything_is_decided_and_nothing_is_sent(robot: Guarded) -> None:
    robot.operator.arm(shadow=True)
    robot.start_policy()
    command, policy = robot.run(1.6)
    assert (command.state, command.message) == (CommandStatus.SHADOW, "")
    assert (policy.state, policy.message) == (PolicyStatus.RUNNING, "")
    assert command.chunks_accepted == policy.chunks >= 5
    assert np.abs(command.velocity).max() > 0.1  # what would be sent
    assert command.commands_sent == 0
    assert robot.watch.messages[TRAJECTORIES] == []
    assert np.ptp(robot.watch.positions(), axis=0).max() < 1e-3
    robot.require_safe(1900)


def test_disarmed_chunks_are_published_and_nothing_is_sent(robot: Guarded) -> None:
    robot.start_policy()
    command, policy = robot.run(1.0)
    assert command.state == CommandStatus.READY
    assert policy.state == PolicyStatus.RUNNING
    assert len(robot.watch.messages[names.ACTION_CHUNK]) == policy.chunks >= 3
    assert robot.watch.messages[TRAJECTORIES] == []
    assert np.ptp(robot.watch.positions(), axis=0).max() < 1e-3
    robot.require_safe(1300)


def test_disarming_in_motion_stops_the_arm_within_its_limits(robot: Guarded) -> None:
    robot.set_in_motion(faster_than=0.2)
    sent = robot.operator.command.commands_sent
    robot.operator.disarm("for the test")
    command, policy = robot.run(0.6)
    assert (command.state, command.message) == (CommandStatus.READY, "")
    assert policy.state == PolicyStatus.RUNNING
    assert command.commands_sent == sent + 1  # the stop
    stopped = robot.watch.positions()[-round(0.6 * STATES_HZ) :]
    assert np.ptp(stopped[-STATES_HZ // 10 :], axis=0).max() < 1e-4
    assert np.ptp(stopped, axis=0).max() < 0.05
    robot.require_safe(1100)


def test_whatever_a_policy_outputs_the_limits_are_kept(robot: Guarded) -> None:
    random = np.random.default_rng(0)

    def noise(chunk: ActionChunk) -> ActionChunk:
        if chunk.sequence > first:
            chunk.actions[:, :7] += random.normal(scale=1.0, size=chunk.actions[:, :7].shape)
            chunk.actions[:, 7] = random.uniform(-1.0, 1.0, size=len(chunk.actions))
        return chunk

    first = robot.policy._sequence
    robot.policy.does = noise
    robot.operator.arm()
    robot.start_policy()
    command, _ = robot.run(2.0)
    assert command.chunks_accepted >= 6
    assert np.ptp(robot.watch.positions(), axis=0).min() > 0.05
    robot.operator.disarm("for the test")
    command, _ = robot.run(1.0)
    assert command.state == CommandStatus.READY
    robot.require_safe(3000)
