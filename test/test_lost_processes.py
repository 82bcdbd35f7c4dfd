"""Processes that are killed or stop answering while the robot moves."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import numpy as np
import pytest
from guarded import TRAJECTORIES, Mortal, mortal_in_motion
from vla_msgs.msg import CommandStatus

pytestmark = pytest.mark.ros


@pytest.fixture
def mortal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mortal]:
    with mortal_in_motion(monkeypatch) as mortal:
        yield mortal


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGSTOP])
def test_a_policy_node_that_is_lost_leaves_an_arm_that_stops_and_says_why(mortal: Mortal, by: signal.Signals) -> None:
    mortal.lose("policy_node", by)
    mortal.operator.run_simulation(2.0)
    status = mortal.operator.wait_for_command(mortal.of_now, "the command_node's last status")
    assert (status.state, status.fault) == (CommandStatus.FAULT, "starved")
    assert status.message == "no usable action for 300 ms although the policy is running; the arm was stopped"
    mortal.require_safe(2500)


def test_a_command_node_that_is_killed_leaves_the_controller_with_a_plan_to_rest(mortal: Mortal) -> None:
    mortal.lose("command_node", signal.SIGKILL)
    before = mortal.watch.positions()[-1]
    mortal.operator.run_simulation(1.0)
    mortal.require_safe(1500)
    last = mortal.watch.messages[TRAJECTORIES][-1].points[-1]
    np.testing.assert_array_equal(last.velocities, 0.0)
    np.testing.assert_allclose(mortal.watch.positions()[-1], last.positions, atol=5e-3)
    assert np.abs(mortal.watch.positions()[-1] - before).max() > 5e-3  # it was not stopped at once
