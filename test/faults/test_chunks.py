"""Chunks that come late, with times of another clock, twice, in the wrong order, or not at all."""

from __future__ import annotations

import numpy as np
import pytest
from guarded import TRAJECTORIES, Guarded, safety
from saboteur import duplicated, lost, offset, reordered
from vla_msgs.msg import CommandStatus, PolicyStatus

from vla_ros import names

pytestmark = pytest.mark.ros
CHUNK_MS = 1000.0  # what the wave publishes at a time is followed to its end
BETWEEN_MS = 8 / 30 * 1e3  # from one inference to the next
STARVED = "although the policy is running; the arm was stopped"
STARVES_WITHIN_MS = CHUNK_MS + 100.0 + safety().silence_ms  # 100: it slows down along the path's end


@pytest.mark.parametrize(
    ("seconds", "message"),
    [
        (-10.0, "ms old, expected at most"),
        (10.0, "in the future; expected clocks that agree"),
    ],
    ids=["old", "future"],
)
def test_chunks_of_another_time_are_refused_and_the_arm_stops_when_it_has_no_others(
    robot: Guarded, seconds: float, message: str
) -> None:
    robot.set_in_motion()
    taken = robot.operator.command.chunks_accepted
    robot.saboteur.does(offset(seconds), "chunks")
    command, _ = robot.run(0.6)
    assert command.chunks_accepted <= taken + 1  # one that was on its way
    assert command.chunks_refused >= 1
    assert message in command.message
    robot.run(1.6)
    robot.require_fault("starved", STARVED, STARVES_WITHIN_MS)


def test_a_peer_that_is_lost_leaves_an_arm_that_follows_what_it_has_and_stops(robot: Guarded) -> None:
    """What a policy_node on another machine is when the network goes: neither chunks nor statuses come."""
    robot.set_in_motion()
    robot.saboteur.does(lost, "chunks", "policy")
    robot.run(2.0)
    robot.require_fault("starved", STARVED, STARVES_WITHIN_MS)


def test_a_policy_that_becomes_too_slow_stops_the_arm(robot: Guarded) -> None:
    """Its chunks come when all of their actions have passed."""
    robot.set_in_motion()
    robot.saboteur.delays(1.5, "chunks")
    robot.run(2.0)
    robot.require_fault("starved", STARVED, STARVES_WITHIN_MS)


def test_chunks_that_come_twice_make_no_difference(robot: Guarded) -> None:
    robot.set_in_motion()
    before = robot.operator.command
    robot.saboteur.does(duplicated, "chunks")
    command, policy = robot.run(1.6)
    assert (command.state, policy.state) == (CommandStatus.RUNNING, PolicyStatus.RUNNING)
    again = command.chunks_refused - before.chunks_refused
    assert again >= 5
    assert again == pytest.approx(command.chunks_accepted - before.chunks_accepted, abs=1)
    assert command.ticks_starved == 0
    robot.require_within_limits(2000)


def test_chunks_in_the_wrong_order_are_left_aside_and_the_motion_goes_on(robot: Guarded) -> None:
    robot.set_in_motion()
    before = robot.operator.command
    robot.saboteur.does(reordered(), "chunks")
    command, _ = robot.run(2.0)
    assert command.state == CommandStatus.RUNNING
    refused = command.chunks_refused - before.chunks_refused
    assert refused >= 3
    assert refused == pytest.approx(command.chunks_accepted - before.chunks_accepted, abs=1)
    assert robot.watch.speed() > 0.05
    followed = [chunk.sequence for chunk in robot.watch.messages[names.ACTION_CHUNK]]
    assert followed != sorted(followed)
    assert len(robot.watch.messages[TRAJECTORIES]) > 0
    assert np.isfinite(robot.watch.positions()).all()
    robot.require_within_limits(2000)
