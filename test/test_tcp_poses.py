"""A policy whose actions are poses of the tool, through the real nodes: the simulated arm's tool goes where it says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import JointState
from support import EMBODIMENTS, Collector, Nodes, with_parameters
from vla_msgs.msg import CommandStatus, SimStatus

from vla.graph import Bringup, bringup_graph
from vla.ros.operator import Operator
from vla.supervisor import Supervisor
from vla_core.action_chunk import ActionChunk
from vla_core.action_prefix import ActionPrefix
from vla_core.embodiment import Embodiment, load_embodiment
from vla_core.kinematics import KinematicModel
from vla_core.observation import Observation
from vla_policy_node.fake import FakePolicy
from vla_policy_node.policy_node import PolicyNode
from vla_ros.time import to_ns

pytestmark = pytest.mark.ros
STATES, COMMANDED = "/franka/joint_states", "/tcp/command"
RADIUS, TURN_S = 0.06, 4.0  # of the circle [m], and how long a round takes [s]
TILT = 0.25  # of the tool, to and fro [rad]


class Circling(FakePolicy):
    """Leads the tool in a circle across the table, tilting it, from where it was when it was first asked.

    Attributes:
        began_ns: when that was; None: it was not asked yet.
    """

    def __init__(self, embodiment: Embodiment) -> None:
        super().__init__(embodiment)
        self.began_ns: int | None = None
        self._model = KinematicModel(embodiment)

    def asked(self, seconds: np.ndarray) -> tuple[np.ndarray, Rotation]:
        """Places (k, 3) [m] and rotations (k,) of the tool, at times since it began [s]."""
        phase = 2 * np.pi * seconds / TURN_S
        gently = np.sin(np.pi / 4.0 * np.minimum(seconds, 2.0))[:, None] ** 2  # begins at rest
        aside = RADIUS * np.stack([0.5 * np.sin(2 * phase), np.sin(phase), np.cos(phase) - 1.0], axis=1)
        tilt = np.concatenate([TILT * np.sin(phase)[:, None] * gently, np.zeros((len(phase), 2))], axis=1)
        return self._place + gently * aside, Rotation.from_rotvec(tilt) * self._turn

    def infer(self, observation: Observation, prefix: ActionPrefix | None = None) -> ActionChunk:
        chunk = super().infer(observation, prefix)
        if self.began_ns is None:
            self.began_ns = observation.stamp_ns
            place, turn = self._model.tcp_pose(observation.proprioception["qpos"][:7])
            self._place, self._turn = place, Rotation.from_matrix(turn)
        places, turns = self.asked((chunk.times_ns() - self.began_ns) * 1e-9)
        chunk.actions[:, :3], chunk.actions[:, 3:7] = places, turns.as_quat(canonical=True)
        return chunk


@dataclass(frozen=True)
class Posed:
    """A simulated robot in lockstep whose policy outputs poses."""

    operator: Operator
    watch: Collector
    policies: list[Circling]


@pytest.fixture(scope="module")
def robot() -> Iterator[Posed]:
    graph = bringup_graph(Bringup(policy="fake", lockstep=True, embodiment="fr3_sim_tcp"))
    graph = with_parameters(graph, "sim_node", participants=["command_node", "policy_node", "watch"])
    policies: list[Circling] = []

    def circling(node: PolicyNode, path: str, device: str) -> Any:
        policies.append(Circling(node._embodiment))
        return policies[-1]

    (here,) = [process for process in graph.processes if process.name == "policy_node"]
    with (
        pytest.MonkeyPatch.context() as patch,
        Supervisor([process for process in graph.processes if process is not here], os.environ) as supervisor,
        Operator(supervisor.check) as operator,
        Nodes() as nodes,
    ):
        patch.setattr(PolicyNode, "_load", circling)
        nodes.start("policy_node", PolicyNode, **here.parameters)
        topics = {STATES: JointState, COMMANDED: PoseStamped}
        watch = nodes.start("watch", lambda host: Collector(host, topics), lockstep=True)
        yield Posed(operator, watch, policies)


def broken(status: SimStatus) -> int:
    return (
        status.position_violations
        + status.velocity_violations
        + status.acceleration_violations
        + status.jerk_violations
    )


def test_the_tool_of_the_simulated_arm_follows_poses(robot: Posed) -> None:
    operator, watch = robot.operator, robot.watch
    operator.reset_world(1)
    operator.run_simulation(0.4)
    operator.arm()
    run = operator.start_policy("circle")
    operator.run_simulation(7.0)
    status = operator.wait_for_command(
        lambda one: to_ns(one.header.stamp) == watch.host.clock.now_ns(), "the last status"
    )
    assert status.state == CommandStatus.RUNNING, status.message
    assert status.chunks_refused == 0
    operator.end_policy(run)
    operator.run_simulation(2.0)
    sim = operator.wait_for_sim(lambda one: to_ns(one.header.stamp) == watch.host.clock.now_ns(), "the last status")
    assert sim.commanded_cycles > 8000
    assert broken(sim) == 0

    policy = robot.policies[-1]
    model = KinematicModel(load_embodiment(EMBODIMENTS / "fr3_sim_tcp.yaml"))
    assert policy.began_ns is not None
    states = [one for one in watch.messages[STATES] if 1.0 < (to_ns(one.header.stamp) - policy.began_ns) * 1e-9 < 6.0][
        ::20
    ]
    assert len(states) > 200
    seconds = np.array([(to_ns(one.header.stamp) - policy.began_ns) * 1e-9 for one in states])
    places, turns = policy.asked(seconds)
    poses = [model.tcp_pose(np.array(one.position[:7])) for one in states]
    away = np.linalg.norm(np.array([place for place, _ in poses]) - places, axis=1)
    turned = (turns.inv() * Rotation.from_matrix([turn for _, turn in poses])).magnitude()
    assert np.ptp(places, axis=0).max() > 0.1
    assert away.max() < 4e-3
    assert turned.max() < 0.02

    told = [one for one in watch.messages[COMMANDED] if 1.0 < (to_ns(one.header.stamp) - policy.began_ns) * 1e-9 < 6.0]
    assert len(told) > 400
    commanded = np.array([(one.pose.position.x, one.pose.position.y, one.pose.position.z) for one in told])
    asked = policy.asked(np.array([(to_ns(one.header.stamp) - policy.began_ns) * 1e-9 for one in told]))[0]
    assert told[0].header.frame_id == "fr3_link0"
    assert np.linalg.norm(commanded - asked, axis=1).max() < 2e-3
