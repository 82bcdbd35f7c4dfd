"""Policies that were made for another robot."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from guarded import Guarded
from vla_msgs.msg import PolicyStatus
from vla_msgs.srv import LoadPolicy

from vla.graph import Bringup, bringup_graph
from vla.paths import checkout
from vla.supervisor import ProcessDied, Supervisor
from vla_ros import names

SHIPPED = checkout() / "checkpoints" / "pick_place"
pytestmark = [
    pytest.mark.ros,
    pytest.mark.skipif(not SHIPPED.is_dir(), reason=f"there is no shipped policy yet, {SHIPPED}"),
]


def for_another_robot(folder: Path) -> Path:
    """The shipped policy as if it had been trained with a robot whose last joint has another name."""
    copy = shutil.copytree(SHIPPED, folder / "panda")
    config = copy / "config.yaml"
    config.write_text(config.read_text().replace("fr3_joint7", "panda_joint7"))
    return copy


def test_a_policy_for_another_robot_is_not_loaded_and_the_one_before_goes_on(robot: Guarded, tmp_path: Path) -> None:
    def load(path: Path) -> LoadPolicy.Response:
        return robot.watch.call(names.LOAD_POLICY, LoadPolicy.Request(path=str(path)), within_s=300.0)  # imports torch

    answer = load(for_another_robot(tmp_path))
    assert not answer.accepted
    assert "does not fit 'fr3_sim'" in answer.message
    assert "panda_joint7" in answer.message
    robot.start_policy()
    _, policy = robot.run(0.6)
    assert (policy.state, policy.policy_id) == (PolicyStatus.RUNNING, "fake/sine")
    assert policy.chunks >= 2
    refused = load(SHIPPED)
    assert refused.message == "a run is on; expected it to be cancelled before another policy is loaded"
    robot.end_policy()
    assert load(SHIPPED).accepted
    robot.operator.arm()
    robot.start_policy("put the cube on the mark")
    command, policy = robot.run(1.0)
    assert policy.policy_id == command.active_policy != "fake/sine"
    assert np.ptp(robot.watch.positions(), axis=0).max() > 0.01
    robot.end_policy()
    robot.operator.disarm("for the test")
    assert load(Path("fake")).accepted
    robot.run(0.6)
    robot.require_safe(2000)


def test_a_policy_node_refuses_to_start_with_a_policy_for_another_robot(tmp_path: Path) -> None:
    graph = bringup_graph(Bringup(policy=str(for_another_robot(tmp_path))))
    (process,) = [process for process in graph.processes if process.name == "policy_node"]
    with (
        Supervisor([process], os.environ) as supervisor,
        pytest.raises(ProcessDied, match=r"(?s)policy_node ended with exit status 1.*panda_joint7"),
    ):
        supervisor.wait(lambda: False)
