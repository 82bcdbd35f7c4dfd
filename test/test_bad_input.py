"""Bad input: one clear error that names what was expected and what was there, and a robot that is safe."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import renamed, running, with_parameters, written
from vla_msgs.msg import CommandStatus

from vla.graph import Bringup, bringup_graph
from vla.ros.operator import OperatorError
from vla.supervisor import ProcessDied

pytestmark = pytest.mark.ros


def test_a_camera_that_never_publishes_is_named(tmp_path: Path) -> None:
    blind = written(tmp_path / "blind.yaml", cameras={"wrist": {"topic": "/nobody/image_raw"}})
    graph = bringup_graph(Bringup(policy="fake", record=True, lockstep=True, episodes=str(tmp_path / "episodes")))
    for name in ("recorder_node", "policy_node"):
        graph = with_parameters(graph, name, embodiment=str(blind))
    with running(graph) as operator:
        operator.reset_world(1)
        operator.run_simulation(0.3)
        operator.arm()
        operator.run_simulation(0.2)
        with pytest.raises(
            OperatorError, match="'wrist': nothing was received on /nobody/image_raw, expected about 30 Hz"
        ):
            operator.start_episode("wave")
        result = operator.result_of(operator.start_policy("wave"))
        assert "'wrist': nothing was received on /nobody/image_raw" in result.message
        assert result.chunks == 0
        operator.run_simulation(0.3)
        status = operator.command
        assert status.state == CommandStatus.ARMED  # holds
        assert status.commands_sent == 0
    assert not list((tmp_path / "episodes").glob("*"))


def test_joints_that_the_robot_does_not_have_are_named(tmp_path: Path) -> None:
    wrong = renamed(tmp_path / "panda.yaml")
    graph = bringup_graph(Bringup(policy="fake", record=True, lockstep=True, episodes=str(tmp_path / "episodes")))
    for name in ("recorder_node", "policy_node", "command_node"):
        graph = with_parameters(graph, name, embodiment=str(wrong))
    with running(graph) as operator:
        operator.run_simulation(0.3)
        with pytest.raises(OperatorError, match="missing: panda_joint7"):
            operator.arm()
        with pytest.raises(
            OperatorError, match=r"stream 'joints' on /franka/joint_states: .*\(missing: panda_joint7\)"
        ):
            operator.start_episode("wave")
        result = operator.result_of(operator.start_policy("wave"))
        assert "missing: panda_joint7" in result.message
        operator.run_simulation(0.3)
        assert operator.command.commands_sent == 0


def test_a_simulator_for_another_robot_ends_with_one_sentence(tmp_path: Path) -> None:
    graph = bringup_graph(Bringup(lockstep=True, embodiment=str(renamed(tmp_path / "panda.yaml"))))
    with (
        pytest.raises(ProcessDied, match="robot model 'fr3': expected the joints of 'fr3_sim'"),
        running(graph) as operator,
    ):
        operator.sim  # noqa: B018  waits for it
