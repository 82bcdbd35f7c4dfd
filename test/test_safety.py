"""What goes wrong while the robot moves, through the real nodes: a stop within the limits, and a sentence that says why."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import Image, JointState
from support import Collector, Nodes, eventually, with_parameters, written
from trajectory_msgs.msg import JointTrajectory
from vla_msgs.msg import ActionChunk as ActionChunkMessage
from vla_msgs.msg import CommandStatus, PolicyStatus, SimStatus
from vla_msgs.srv import LoadPolicy

from vla.environment import reserved_domain_id
from vla.graph import Bringup, bringup_graph
from vla.paths import checkout
from vla.ros.operator import Operator
from vla.supervisor import ProcessDied, Supervisor
from vla_core.action_chunk import ActionChunk
from vla_core.action_prefix import ActionPrefix
from vla_core.embodiment import Embodiment
from vla_core.errors import StreamError
from vla_core.observation import Observation
from vla_policy_node.fake import FakePolicy
from vla_policy_node.policy_node import PolicyNode
from vla_ros import names, qos
from vla_ros.host import NodeHost
from vla_ros.time import to_ns

TRAJECTORIES = "/fr3_arm_controller/joint_trajectory"
STATES = "/franka/joint_states"
SHIPPED = checkout() / "checkpoints" / "pick_place"
SHORT_LEASE = Path(__file__).parent / "data" / "short_lease.xml"
STANDING = 2e-3  # rad/s
pytestmark = pytest.mark.ros


class Steered(FakePolicy):
    """A wide wave, to which the test may do something.

    Attributes:
        does: takes each chunk and returns what is output instead; may raise.
    """

    def __init__(self, embodiment: Embodiment) -> None:
        super().__init__(embodiment, amplitude=0.3)
        self.does: Callable[[ActionChunk], ActionChunk] = lambda chunk: chunk

    def infer(self, observation: Observation, prefix: ActionPrefix | None = None) -> ActionChunk:
        return self.does(super().infer(observation, prefix))


class Watch(Collector):
    """Sees what is sent and how the arm moves, and passes the wrist camera's images on until it is told to be silent."""

    def __init__(self, host: NodeHost) -> None:
        topics = {STATES: JointState, TRAJECTORIES: JointTrajectory, names.ACTION_CHUNK: ActionChunkMessage}
        super().__init__(host, topics, {names.LOAD_POLICY: LoadPolicy}, (names.POLICY_STATUS, PolicyStatus))
        self.silent = False
        self._images = host.publisher(Image, "/relayed/image_raw", qos.stream(20))
        host.subscribe(Image, "/wrist/image_raw", self._on_image, qos.stream(20))

    def positions(self) -> np.ndarray:
        """Measured arm positions (k, 7) [rad]."""
        return np.array([message.position for message in self.messages[STATES]])

    def speed(self) -> float:
        """Of the fastest joint, newest [rad/s]."""
        return float(np.abs(self.messages[STATES][-1].velocity).max())

    def _on_image(self, message: Image, receive_ns: int) -> None:
        if not self.silent:
            self._images.publish(message)


def violations(status: SimStatus) -> int:
    return (
        status.position_violations
        + status.velocity_violations
        + status.acceleration_violations
        + status.jerk_violations
    )


@dataclass(frozen=True)
class Guarded:
    """A simulated robot in lockstep: simulator and command_node in processes, the policy and the watch in this one."""

    operator: Operator
    watch: Watch
    policies: list[Steered]
    runs: list[Any]

    @property
    def policy(self) -> Steered:
        return self.policies[-1]

    def start_policy(self, prompt: str = "wave") -> Any:
        """Lets the policy run, until the end of the test at the latest."""
        self.runs.append(self.operator.start_policy(prompt))
        return self.runs[-1]

    def end_policy(self) -> None:
        while self.runs:
            self.operator.end_policy(self.runs.pop())

    def begin_anew(self) -> None:
        """Ends what is on, and brings up a new world in which all streams come."""
        self.end_policy()
        self.operator.disarm("for the next test")
        self.operator.reset_world(1)
        self.watch.silent = False
        self.policy.does = lambda chunk: chunk
        self.run(0.4)
        for kept in self.watch.messages.values():
            kept.clear()

    def run(self, duration_s: float) -> tuple[CommandStatus, PolicyStatus]:
        """Lets time run, by a multiple of the statuses' periods, 0.2 s; returns those of its end."""
        self.operator.run_simulation(duration_s)
        return (
            self.operator.wait_for_command(self.of_now, "the command_node's last status"),
            self.operator.wait_for_policy(self.of_now, "the policy_node's last status"),
        )

    def require_safe(self, least_cycles: int) -> None:
        """The arm stands, and nothing that was commanded since the reset broke a limit."""
        sim = self.operator.wait_for_sim(self.of_now, "the simulator's last status")
        assert sim.commanded_cycles > least_cycles
        assert violations(sim) == 0
        assert self.watch.speed() < STANDING

    def of_now(self, status: Any) -> bool:
        return to_ns(status.header.stamp) == self.watch.host.clock.now_ns()


@pytest.fixture(scope="class")
def brought_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    relayed = written(
        tmp_path_factory.mktemp("embodiment") / "relayed.yaml", cameras={"wrist": {"topic": "/relayed/image_raw"}}
    )
    graph = bringup_graph(Bringup(policy="fake", lockstep=True))
    graph = with_parameters(graph, "policy_node", embodiment=str(relayed))
    graph = with_parameters(graph, "sim_node", participants=["command_node", "policy_node", "watch"])
    policies: list[Steered] = []
    load = PolicyNode._load

    def steered(node: PolicyNode, path: str, device: str) -> Any:
        if path != "fake":
            return load(node, path, device)
        policies.append(Steered(node._embodiment))
        return policies[-1]

    here = {process.name: process for process in graph.processes if process.name == "policy_node"}
    with (
        pytest.MonkeyPatch.context() as patch,
        Supervisor([process for process in graph.processes if process.name not in here], os.environ) as supervisor,
        Operator(supervisor.check) as operator,
        Nodes() as nodes,
    ):
        patch.setattr(PolicyNode, "_load", steered)
        nodes.start("policy_node", PolicyNode, **here["policy_node"].parameters)
        yield Guarded(operator, nodes.start("watch", Watch, lockstep=True), policies, [])


@pytest.fixture
def robot(brought_up: Guarded) -> Guarded:
    """The robot in a new world, disarmed, with its wave loaded."""
    brought_up.begin_anew()
    return brought_up


class TestInLockstep:
    def test_in_shadow_mode_everything_is_decided_and_nothing_is_sent(self, robot: Guarded) -> None:
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

    def test_disarmed_chunks_are_published_and_nothing_is_sent(self, robot: Guarded) -> None:
        robot.start_policy()
        command, policy = robot.run(1.0)
        assert command.state == CommandStatus.READY
        assert policy.state == PolicyStatus.RUNNING
        assert len(robot.watch.messages[names.ACTION_CHUNK]) == policy.chunks >= 3
        assert robot.watch.messages[TRAJECTORIES] == []
        assert np.ptp(robot.watch.positions(), axis=0).max() < 1e-3
        robot.require_safe(1300)

    def test_disarming_in_motion_stops_the_arm_within_its_limits(self, robot: Guarded) -> None:
        robot.operator.arm()
        robot.start_policy()
        robot.run(0.6)
        assert robot.watch.speed() > 0.2
        sent = robot.operator.command.commands_sent
        robot.operator.disarm("for the test")
        command, policy = robot.run(0.6)
        assert (command.state, command.message) == (CommandStatus.READY, "")
        assert policy.state == PolicyStatus.RUNNING
        assert command.commands_sent == sent + 1  # the stop
        stopped = robot.watch.positions()[-600:]
        assert np.ptp(stopped[-100:], axis=0).max() < 1e-4
        assert np.ptp(stopped, axis=0).max() < 0.05
        robot.require_safe(1500)

    def test_whatever_a_policy_outputs_the_limits_are_kept(self, robot: Guarded) -> None:
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

    def test_a_policy_that_raises_ends_its_run_and_the_arm_comes_to_rest(self, robot: Guarded) -> None:
        def refuse(chunk: ActionChunk) -> ActionChunk:
            raise StreamError("wave: qpos: expected a finite number for 'fr3_joint1', found nan")

        robot.operator.arm()
        goal = robot.start_policy()
        robot.run(0.6)
        robot.policy.does = refuse
        command, policy = robot.run(2.0)
        reason = "wave: qpos: expected a finite number for 'fr3_joint1', found nan"
        assert (policy.state, policy.message) == (PolicyStatus.FAULT, reason)
        assert robot.operator.result_of(goal).message == reason
        assert command.state == CommandStatus.ARMED  # holds: what was published is played to its end
        robot.require_safe(2900)
        robot.policy.does = lambda chunk: chunk
        robot.start_policy()  # starting again clears it
        command, policy = robot.run(0.6)
        assert (command.state, policy.state) == (CommandStatus.RUNNING, PolicyStatus.RUNNING)

    def test_a_camera_that_falls_silent_stops_the_inference_and_then_the_arm(self, robot: Guarded) -> None:
        robot.operator.arm()
        robot.start_policy()
        robot.run(1.0)
        robot.watch.silent = True
        chunks = robot.run(0.2)[1].chunks
        command, policy = robot.run(2.0)
        assert policy.state == PolicyStatus.RUNNING
        assert policy.message == "no complete observation for more than 150 ms: nothing is inferred"
        assert policy.chunks <= chunks + 1
        assert policy.stale_observations > 10
        assert command.state == CommandStatus.FAULT
        assert command.message == ("no usable action for 300 ms although the policy is running; the arm was stopped")
        robot.require_safe(3500)
        robot.watch.silent = False
        command, policy = robot.run(0.6)
        assert policy.chunks > chunks + 1
        assert policy.message == ""
        assert command.state == CommandStatus.FAULT  # latched
        robot.require_safe(4000)

    @pytest.mark.skipif(not SHIPPED.is_dir(), reason=f"there is no shipped policy yet, {SHIPPED}")
    def test_a_policy_for_another_robot_is_not_loaded_and_the_one_before_goes_on(
        self, robot: Guarded, tmp_path: Path
    ) -> None:
        def load(path: Path) -> LoadPolicy.Response:
            return robot.watch.call(
                names.LOAD_POLICY, LoadPolicy.Request(path=str(path)), within_s=300.0
            )  # imports torch

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


def for_another_robot(folder: Path) -> Path:
    """The shipped policy as if it had been trained with a robot whose last joint has another name."""
    copy = shutil.copytree(SHIPPED, folder / "panda")
    config = copy / "config.yaml"
    config.write_text(config.read_text().replace("fr3_joint7", "panda_joint7"))
    return copy


@pytest.mark.skipif(not SHIPPED.is_dir(), reason=f"there is no shipped policy yet, {SHIPPED}")
def test_a_policy_node_refuses_to_start_with_a_policy_for_another_robot(tmp_path: Path) -> None:
    graph = bringup_graph(Bringup(policy=str(for_another_robot(tmp_path))))
    (process,) = [process for process in graph.processes if process.name == "policy_node"]
    with (
        Supervisor([process], os.environ) as supervisor,
        pytest.raises(ProcessDied, match=r"(?s)policy_node ended with exit status 1.*panda_joint7"),
    ):
        supervisor.wait(lambda: False)


# -- killed ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mortal(Guarded):
    """A simulated robot in lockstep whose processes may be killed: nobody looks whether they live."""

    supervisor: Supervisor
    nodes: Nodes

    def kill(self, name: str) -> None:
        """Kills a node, and waits until nobody waits any longer for its acknowledgements of what it is sent."""
        os.kill(self.supervisor.process_id(name), signal.SIGKILL)
        with pytest.raises(ProcessDied, match=f"{name} ended with exit status -9"):
            self.supervisor.wait(lambda: False)
        status = {"policy_node": names.POLICY_STATUS, "command_node": names.COMMAND_STATUS}[name]
        eventually(lambda: self.watch.host.node.count_publishers(status) == 0, 60.0)
        self.nodes.start(name, Collector, lockstep=True)  # takes its seat: without it simulated time would stand still


@pytest.fixture
def mortal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mortal]:
    """In motion, in a domain of its own: for others, whoever was killed there would seem to live on for a while."""
    graph = bringup_graph(Bringup(policy="fake", lockstep=True))
    graph = with_parameters(graph, "sim_node", participants=["command_node", "policy_node", "watch"])
    with reserved_domain_id() as domain_id:
        monkeypatch.setenv("ROS_DOMAIN_ID", str(domain_id))
        monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", str(SHORT_LEASE))
        with Supervisor(graph.processes, os.environ) as supervisor, Operator() as operator, Nodes() as nodes:
            mortal = Mortal(operator, nodes.start("watch", Watch, lockstep=True), [], [], supervisor, nodes)
            operator.reset_world(1)
            mortal.run(0.4)
            operator.arm()
            mortal.start_policy()
            mortal.run(0.6)
            assert mortal.watch.speed() > 0.05
            yield mortal


def test_a_policy_node_that_is_killed_leaves_an_arm_that_stops_and_says_why(mortal: Mortal) -> None:
    mortal.kill("policy_node")
    mortal.operator.run_simulation(2.0)
    status = mortal.operator.wait_for_command(mortal.of_now, "the command_node's last status")
    assert status.state == CommandStatus.FAULT
    assert status.message == "no usable action for 300 ms although the policy is running; the arm was stopped"
    mortal.require_safe(2900)


def test_a_command_node_that_is_killed_leaves_the_controller_with_a_plan_to_rest(mortal: Mortal) -> None:
    mortal.kill("command_node")
    before = mortal.watch.positions()[-1]
    mortal.operator.run_simulation(1.0)
    mortal.require_safe(1900)
    last = mortal.watch.messages[TRAJECTORIES][-1].points[-1]
    np.testing.assert_array_equal(last.velocities, 0.0)
    np.testing.assert_allclose(mortal.watch.positions()[-1], last.positions, atol=5e-3)
    assert np.abs(mortal.watch.positions()[-1] - before).max() > 5e-3  # it was not stopped at once
