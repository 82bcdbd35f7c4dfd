"""Bad input: one clear error that names what was expected and what was there, and a robot that is safe."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from support import Nodes, renamed, running, with_parameters, written
from vla_msgs.msg import CommandStatus

from vla.graph import Bringup, bringup_graph
from vla.ros.operator import OperatorError
from vla.supervisor import ProcessDied
from vla_core.action_chunk import ActionChunk
from vla_core.action_prefix import ActionPrefix
from vla_core.observation import Observation
from vla_policy_node.fake import FakePolicy
from vla_policy_node.policy_node import PolicyNode

pytestmark = pytest.mark.ros


class TurnsNan(FakePolicy):
    """Waves twice, and then outputs NaN for one joint."""

    def infer(self, observation: Observation, prefix: ActionPrefix | None = None) -> ActionChunk:
        chunk = super().infer(observation, prefix)
        if chunk.sequence >= 2:
            chunk.actions[4:, 3] = np.nan
        return chunk


def test_a_policy_that_outputs_nan_is_a_controlled_stop_and_a_latched_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PolicyNode, "_load", lambda node, path, device: TurnsNan(node._embodiment, amplitude=0.3))
    graph = bringup_graph(Bringup(policy="fake", lockstep=True))
    (policy,) = [process for process in graph.processes if process.name == "policy_node"]
    with ExitStack() as stack:
        operator = stack.enter_context(running(graph, "policy_node"))
        stack.enter_context(nodes := Nodes())
        nodes.start("policy_node", PolicyNode, **policy.parameters)
        operator.reset_world(1)
        operator.run_simulation(0.3)
        operator.arm()
        operator.start_policy("wave")
        operator.run_simulation(2.5)
        status = operator.wait_for_command(lambda s: s.state == CommandStatus.FAULT, "the command node to stop")
        assert status.message.startswith("chunk 2: action 4 of 'fr3_joint4' is nan, expected a finite number")
        assert np.allclose(status.velocity, 0.0)
        with pytest.raises(OperatorError, match="expected the state READY"):
            operator.arm()
        sim = operator.wait_for_sim(lambda s: s.duration_s > 2.7, "the simulator's status")
        assert sim.commanded_cycles > 2700
        found = (sim.position_violations, sim.velocity_violations, sim.acceleration_violations, sim.jerk_violations)
        assert found == (0, 0, 0, 0)


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
