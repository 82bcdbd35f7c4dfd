"""The policy's machine is lost while the robot moves, through the real nodes: the arm stops, says why, and goes on later."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import yaml
from foreign_servers import OpenpiServer
from guarded import Guarded, Watch
from served import Served
from support import Nodes, eventually, with_parameters
from vla_msgs.msg import CommandStatus, PolicyStatus

from vla.graph import Bringup, bringup_graph
from vla.paths import checkout
from vla.ros.operator import Operator
from vla.supervisor import Supervisor
from vla_core.embodiment import load_embodiment
from vla_ros import names, qos

FR3 = load_embodiment(checkout() / "config" / "embodiments" / "fr3_sim.yaml")
pytestmark = pytest.mark.ros


@dataclass(frozen=True)
class Remote(Guarded):
    """A simulated robot in lockstep whose policy is on a server."""

    server: Served = field(kw_only=True)

    def run_until(self, state: int, message: str = "") -> tuple[CommandStatus, PolicyStatus]:
        """Lets time run until the command_node is in a state and the policy_node says something, in simulated seconds."""
        for _ in range(300):
            command, policy = self.run(0.2)
            if command.state == state and message in policy.message and bool(message) == bool(policy.message):
                return command, policy
        raise AssertionError(f"expected {state} and '{message}', found {command.state} and '{policy.message}'")


def appeared(watch: Watch) -> Watch:
    """Waits until every process has come up, however busy the machine is with other things."""
    for status in (names.SIM_STATUS, names.COMMAND_STATUS, names.POLICY_STATUS):
        eventually(lambda: watch.host.node.count_publishers(status), 300.0)  # noqa: B023  it is called at once
    return watch


@pytest.fixture
def robot() -> Iterator[Remote]:
    with Served("--policy", "fake") as server:
        graph = bringup_graph(Bringup(policy=f"{server.address}?deadline_ms=5000", lockstep=True))
        graph = with_parameters(graph, "sim_node", participants=["command_node", "policy_node", "watch"])
        with (
            Supervisor(graph.processes, os.environ) as supervisor,
            Operator(supervisor.check) as operator,
            Nodes() as nodes,
        ):
            watch = appeared(nodes.start("watch", Watch, lockstep=True))
            remote = Remote(operator, watch, server=server)
            operator.listen(PolicyStatus, names.POLICY_STATUS, remote.policy_statuses.append, qos.latched())
            operator.reset_world(1)
            remote.run(0.4)
            yield remote
            remote.end_policy()


def test_a_server_that_is_killed_is_a_stop_that_says_why_and_goes_on_when_it_is_back(robot: Remote) -> None:
    robot.set_in_motion(faster_than=0.05)
    _, policy = robot.run(0.2)
    assert (policy.state, policy.policy_id, policy.message) == (PolicyStatus.RUNNING, "fake/sine", "")
    inferred = policy.chunks
    robot.server.kill()
    command, policy = robot.run_until(CommandStatus.FAULT, robot.server.address)
    assert policy.state == PolicyStatus.RUNNING  # nothing is latched there: the server may be back
    assert command.fault == "peer_lost"
    assert robot.server.address in command.message
    robot.run(0.4)
    robot.require_safe(500)

    robot.server.start()
    command, policy = robot.run_until(CommandStatus.FAULT)
    assert policy.chunks > inferred  # they are inferred again, and the arm stands: somebody has to look first
    robot.require_safe(700)
    robot.operator.clear_fault()
    robot.operator.arm()
    before = robot.watch.positions()[-1]
    command, policy = robot.run(1.0)
    assert (command.state, command.message, policy.message) == (CommandStatus.RUNNING, "", "")
    assert np.abs(robot.watch.positions()[-1] - before).max() > 0.01
    robot.require_within_limits(1700)


def test_a_server_of_openpis_moves_the_robot(tmp_path: Path) -> None:
    """Its actions are changes of where the joints are, at 15 Hz; its gripper is 1 when closed."""
    mapping = {
        "schema": "vla/remote/1",
        "rate_hz": 15,
        "images": {"observation/wrist_image_left": "wrist"},
        "states": {"observation/joint_position": {"names": list(FR3.joint_names)}},
        "prompt": "prompt",
        "actions": [
            {"names": list(FR3.joint_names), "meaning": "from_state"},
            {"names": ["gripper"], "first": 7, "open": 0.0, "closed": 1.0},
        ],
    }
    (tmp_path / "openpi.yaml").write_text(yaml.safe_dump(mapping))
    changes = np.zeros((15, 8), np.float32)
    changes[:, 0] = np.linspace(0.0, 0.3, 15)
    with OpenpiServer(lambda request: {"actions": changes}) as server:
        policy = f"ws://127.0.0.1:{server.port}?mapping={tmp_path / 'openpi.yaml'}&deadline_ms=20000"
        graph = bringup_graph(Bringup(policy=policy, lockstep=True))
        graph = with_parameters(graph, "sim_node", participants=["command_node", "policy_node", "watch"])
        with (
            Supervisor(graph.processes, os.environ) as supervisor,
            Operator(supervisor.check) as operator,
            Nodes() as nodes,
        ):
            robot = Guarded(operator, appeared(nodes.start("watch", Watch, lockstep=True)))
            operator.listen(PolicyStatus, names.POLICY_STATUS, robot.policy_statuses.append, qos.latched())
            operator.reset_world(1)
            robot.run(0.4)
            before = robot.watch.positions()[-1]
            robot.set_in_motion(faster_than=0.05)
            robot.run(1.0)
            moved = robot.watch.positions()[-1] - before
            assert moved[0] > 0.1
            assert np.abs(moved[1:]).max() < 0.02
            assert {request["prompt"] for request in server.requests[1:]} == {"wave"}
            robot.end_policy()
            operator.disarm("for the test")
            robot.run(0.6)
            robot.require_safe(1000)
