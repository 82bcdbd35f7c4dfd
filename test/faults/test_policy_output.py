"""A policy that outputs what cannot be executed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from guarded import Guarded, safety
from vla_msgs.msg import CommandStatus, PolicyStatus

from vla.ros.operator import OperatorError
from vla_core.action_chunk import ActionChunk
from vla_core.errors import PeerLost, StreamError

pytestmark = pytest.mark.ros
INFERENCE_MS = 40.0  # what an inference takes in lockstep


def put(value: float) -> Callable[[ActionChunk], ActionChunk]:
    def spoil(chunk: ActionChunk) -> ActionChunk:
        chunk.actions[4:, 3] = value
        return chunk

    return spoil


MALFORMED = {
    "nan": (put(np.nan), "action 4 of 'fr3_joint4' is nan, expected a finite number"),
    "inf": (put(-np.inf), "action 4 of 'fr3_joint4' is -inf, expected a finite number"),
    "width": (lambda chunk: replace(chunk, actions=chunk.actions[:, :7]), "expected 30 x 8 = 240 values, found 210"),
    "names": (
        lambda chunk: replace(chunk, names=(*chunk.names[1::-1], *chunk.names[2:])),
        "expected the actions ['fr3_joint1', 'fr3_joint2', ",
    ),
    "step": (lambda chunk: replace(chunk, step_ns=0), "expected a positive step duration, found 0 ns"),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_chunk_is_a_controlled_stop(robot: Guarded, kind: str) -> None:
    robot.set_in_motion()
    spoil, message = MALFORMED[kind]
    began: list[int] = []

    def output(chunk: ActionChunk) -> ActionChunk:
        began.append(robot.watch.host.clock.now_ns())
        return spoil(chunk)

    robot.policy.does = output
    robot.run(1.0)
    robot.require_fault("chunk_malformed", message, within_ms=INFERENCE_MS, began_ns=began[0])
    with pytest.raises(OperatorError, match="expected the state READY"):
        robot.operator.arm()


def test_a_policy_that_raises_ends_its_run_and_the_arm_comes_to_rest(robot: Guarded) -> None:
    def refuse(chunk: ActionChunk) -> ActionChunk:
        raise StreamError("wave: qpos: expected a finite number for 'fr3_joint1', found nan")

    robot.set_in_motion()
    robot.policy.does = refuse
    command, policy = robot.run(2.0)
    reason = "wave: qpos: expected a finite number for 'fr3_joint1', found nan"
    assert (policy.state, policy.message) == (PolicyStatus.FAULT, reason)
    assert robot.operator.result_of(robot.runs.pop()).message == reason
    assert command.state == CommandStatus.ARMED  # holds: what was published is played to its end
    robot.require_safe(2500)
    robot.policy.does = lambda chunk: chunk
    robot.start_policy()  # starting again clears it
    command, policy = robot.run(0.6)
    assert (command.state, policy.state) == (CommandStatus.RUNNING, PolicyStatus.RUNNING)


@pytest.mark.parametrize("back", [False, True], ids=["lost", "back_in_time"])
def test_a_server_that_is_lost_slows_the_arm_down_and_then_stops_it(robot: Guarded, back: bool) -> None:
    began: list[int] = []

    def unreachable(chunk: ActionChunk) -> ActionChunk:
        began.append(robot.watch.host.clock.now_ns())
        if back and len(began) > 1:
            return chunk
        raise PeerLost("ws://robot-gpu:8000: no answer within 1.0 s")

    robot.set_in_motion()
    robot.policy.does = unreachable
    command, policy = robot.run(1.2)
    if back:
        assert (command.state, policy.state, policy.message) == (CommandStatus.RUNNING, PolicyStatus.RUNNING, "")
        assert len(began) > 2
        robot.require_within_limits(1500)
        return
    assert (policy.state, policy.message) == (PolicyStatus.RUNNING, "ws://robot-gpu:8000: no answer within 1.0 s")
    robot.require_stopping(0.0, began[0])
    robot.require_fault("peer_lost", "ws://robot-gpu:8000: no answer", safety().silence_ms, began[0])
