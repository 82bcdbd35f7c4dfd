"""Bad input: one clear error that names what was expected and what was there, and a robot that is safe."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
import yaml
from support import Nodes
from vla_msgs.msg import CommandStatus

from vla.graph import Bringup, Graph, bringup_graph
from vla.ros.operator import Operator, OperatorError
from vla.supervisor import ProcessDied, Supervisor
from vla_core import config
from vla_core.action_chunk import ActionChunk
from vla_core.observation import Observation
from vla_policy_node.fake import FakePolicy
from vla_policy_node.policy_node import PolicyNode

EMBODIMENTS = Path(__file__).parents[1] / "config" / "embodiments"
pytestmark = pytest.mark.ros


@contextmanager
def running(graph: Graph, *elsewhere: str) -> Iterator[Operator]:
    """A graph in processes, except for those that the test runs itself, and an operator."""
    processes = [process for process in graph.processes if process.name not in elsewhere]
    with Supervisor(processes, os.environ) as supervisor, Operator(supervisor.check) as operator:
        yield operator


def written(path: Path, **changes: object) -> Path:
    """fr3_sim with changes, as a file of its own."""
    data = config.merge(config.read_yaml(EMBODIMENTS / "fr3_sim.yaml"), changes)
    path.write_text(yaml.safe_dump(data))
    return path


def with_embodiment(graph: Graph, name: str, path: Path) -> Graph:
    """The graph in which one process gets another embodiment than the simulator."""
    processes = [
        dataclasses.replace(process, parameters={**process.parameters, "embodiment": str(path)})
        if process.name == name
        else process
        for process in graph.processes
    ]
    return Graph(tuple(processes))


class TurnsNan(FakePolicy):
    """Waves twice, and then outputs NaN for one joint."""

    def infer(self, observation: Observation) -> ActionChunk:
        chunk = super().infer(observation)
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
        with pytest.raises(OperatorError, match="expected the state DISARMED"):
            operator.arm()
        sim = operator.wait_for_sim(lambda s: s.duration_s > 2.7, "the simulator's status")
        assert sim.commanded_cycles > 2700
        found = (sim.position_violations, sim.velocity_violations, sim.acceleration_violations, sim.jerk_violations)
        assert found == (0, 0, 0, 0)


def test_a_camera_that_never_publishes_is_named(tmp_path: Path) -> None:
    blind = written(tmp_path / "blind.yaml", cameras={"wrist": {"topic": "/nobody/image_raw"}})
    graph = bringup_graph(Bringup(policy="fake", record=True, lockstep=True, episodes=str(tmp_path / "episodes")))
    for name in ("recorder_node", "policy_node"):
        graph = with_embodiment(graph, name, blind)
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


def renamed(path: Path) -> Path:
    """fr3_sim whose last joint has another robot's name, everywhere."""
    text = yaml.safe_dump(config.read_yaml(EMBODIMENTS / "fr3_sim.yaml")).replace("fr3_joint7", "panda_joint7")
    path.write_text(text)
    return path


def test_joints_that_the_robot_does_not_have_are_named(tmp_path: Path) -> None:
    wrong = renamed(tmp_path / "panda.yaml")
    graph = bringup_graph(Bringup(policy="fake", record=True, lockstep=True, episodes=str(tmp_path / "episodes")))
    for name in ("recorder_node", "policy_node", "command_node"):
        graph = with_embodiment(graph, name, wrong)
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
