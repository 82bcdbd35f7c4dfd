"""The simulated robot over DDS: what it publishes, and what it takes, as franka_ros2 and ros2_control do."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from action_msgs.msg import GoalStatus
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Float64MultiArray
from support import Collector, Nodes, eventually, running, with_parameters
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint
from vla_msgs.msg import ObjectPoses, SimStatus

from control_msgs.action import FollowJointTrajectory, GripperCommand
from control_msgs.msg import JointTrajectoryControllerState
from controller_manager_msgs.srv import ConfigureController, ListControllers, LoadController, SwitchController
from vla.graph import Bringup, bringup_graph
from vla.ros.operator import Operator
from vla.supervisor import ProcessDied, Supervisor
from vla_ros import names, qos
from vla_ros.host import NodeHost
from vla_ros.time import to_duration, to_ns, to_time

ARM = "fr3_arm_controller"
FORWARD = "fr3_forward_controller"
JOINTS = [f"fr3_joint{number}" for number in range(1, 8)]
FINGERS = ["fr3_finger_joint1", "fr3_finger_joint2"]
HOME = np.array([0.0, -0.2328, 0.0, -2.4594, 0.0, 2.2259, 0.7854])
TOPICS = {
    "/franka/joint_states": JointState,
    "/franka_gripper/joint_states": JointState,
    "/joint_states": JointState,
    f"/{ARM}/controller_state": JointTrajectoryControllerState,
    "/scene/image_raw": Image,
    "/scene/camera_info": CameraInfo,
    "/wrist/image_raw": Image,
    "/wrist/camera_info": CameraInfo,
    "/clock": Clock,
    "/sim/object_poses": ObjectPoses,
}
SERVICES = {
    "/controller_manager/list_controllers": ListControllers,
    "/controller_manager/load_controller": LoadController,
    "/controller_manager/configure_controller": ConfigureController,
    "/controller_manager/switch_controller": SwitchController,
}
MS = 1_000_000
TICK_NS = 10 * MS
pytestmark = pytest.mark.ros


class Bench(Collector):
    """Listens to everything that the simulator publishes, and sends what a robot takes."""

    def __init__(self, host: NodeHost) -> None:
        super().__init__(host, TOPICS, SERVICES, (names.SIM_STATUS, SimStatus))
        self._trajectories = host.publisher(JointTrajectory, f"/{ARM}/joint_trajectory", qos.command())
        self._commands = host.publisher(Float64MultiArray, f"/{FORWARD}/commands", qos.command())
        self._follow = host.action_client(FollowJointTrajectory, f"/{ARM}/follow_joint_trajectory")
        self._grip = host.action_client(GripperCommand, "/franka_gripper/gripper_action")

    def send(self, trajectory: JointTrajectory) -> None:
        self.host.in_loop(lambda: self._trajectories.publish(trajectory))

    def command(self, positions: Sequence[float]) -> None:
        self.host.in_loop(lambda: self._commands.publish(Float64MultiArray(data=list(positions))))

    def follow(self, trajectory: JointTrajectory) -> Any:
        return self._goal(self._follow, FollowJointTrajectory.Goal(trajectory=trajectory))

    def grip(self, position: float) -> Any:
        goal = GripperCommand.Goal()
        goal.command.position, goal.command.max_effort = position, 20.0
        return self._goal(self._grip, goal)

    def states(self) -> dict[str, str]:
        answer = self.call("/controller_manager/list_controllers", ListControllers.Request())
        return {controller.name: controller.state for controller in answer.controller}

    def switch(self, activate: Sequence[str], deactivate: Sequence[str]) -> SwitchController.Response:
        request = SwitchController.Request(
            activate_controllers=activate,
            deactivate_controllers=deactivate,
            strictness=SwitchController.Request.STRICT,
        )
        return self.call("/controller_manager/switch_controller", request)

    def clear(self) -> None:
        for kept in self.messages.values():
            kept.clear()

    def stamps_ns(self, topic: str) -> np.ndarray:
        """When the messages of a topic were made, in their order (k,)."""
        return np.array([to_ns(m.clock if topic == "/clock" else m.header.stamp) for m in self.messages[topic]])

    def positions(self) -> np.ndarray:
        """Measured arm positions (k, 7) [rad]."""
        return np.array([message.position for message in self.messages["/franka/joint_states"]])

    def references(self) -> np.ndarray:
        """Position, velocity and acceleration of the controller's reference (k, 3, 7)."""
        kept = [message.reference for message in self.messages[f"/{ARM}/controller_state"]]
        return np.array([(point.positions, point.velocities, point.accelerations) for point in kept])

    def _goal(self, client: Any, goal: Any) -> Any:
        eventually(client.server_is_ready, 60.0)
        asked = client.send_goal_async(goal)
        eventually(asked.done)
        return asked.result()


def result_of(goal: Any) -> Any:
    """The result of a goal that has ended, with its status."""
    asked = goal.get_result_async()
    eventually(asked.done)
    return asked.result()


def trajectory_to(position: np.ndarray, duration_s: float = 1.0, joints: Sequence[str] = JOINTS) -> JointTrajectory:
    """A motion to a position (7,) [rad], to be begun when it comes; in the order of ``joints``."""
    order = [JOINTS.index(name) for name in joints]
    point = JointTrajectoryPoint(
        positions=position[order].tolist(),
        velocities=[0.0] * len(order),
        accelerations=[0.0] * len(order),
        time_from_start=to_duration(round(duration_s * 1e9)),
    )
    return JointTrajectory(joint_names=joints, points=[point])


def moved(joint: int, by_rad: float) -> np.ndarray:
    return HOME + by_rad * np.eye(7)[joint]


@dataclass(frozen=True)
class Simulated:
    """A simulated robot in lockstep with a bench, and an operator who lets time run."""

    operator: Operator
    bench: Bench


@pytest.fixture(scope="class")
def simulated() -> Iterator[Simulated]:
    graph = with_parameters(bringup_graph(Bringup(lockstep=True)), "sim_node", participants=["bench"])
    with (
        Supervisor(graph.processes, os.environ) as supervisor,
        Operator(supervisor.check) as operator,
        Nodes() as nodes,
    ):
        yield Simulated(operator, nodes.start("bench", Bench, lockstep=True))


@pytest.fixture
def robot(simulated: Simulated) -> Simulated:
    """The simulated robot at home with its arm controller active, and nothing heard yet."""
    if simulated.bench.states().get(ARM) != "active":
        active = [name for name, state in simulated.bench.states().items() if name == FORWARD and state == "active"]
        assert simulated.bench.switch([ARM], active).ok
    simulated.operator.reset_world(1, HOME.tolist())
    simulated.operator.run_simulation(0.1)
    simulated.bench.clear()
    return simulated


def faulty() -> dict[str, JointTrajectory]:
    """Trajectories that the controller refuses, each for another reason."""
    elsewhere = moved(0, -0.5)
    unknown = trajectory_to(elsewhere)
    unknown.joint_names = [*JOINTS[:6], "panda_joint7"]
    too_few = trajectory_to(elsewhere, joints=JOINTS[:6])
    no_points = JointTrajectory(joint_names=JOINTS)
    short = trajectory_to(elsewhere)
    short.points[0].positions = [0.0] * 6
    backwards = trajectory_to(elsewhere)
    backwards.points = [*backwards.points, *trajectory_to(elsewhere, 0.5).points]
    moving = trajectory_to(elsewhere)
    moving.points[-1].velocities = [0.1, *[0.0] * 6]
    return {
        "unknown": unknown,
        "too few": too_few,
        "no points": no_points,
        "short": short,
        "backwards": backwards,
        "moving at its end": moving,
    }


class TestInLockstep:
    def test_every_topic_comes_at_its_rate_in_simulated_time(self, robot: Simulated) -> None:
        robot.operator.run_simulation(1.0)
        bench = robot.bench
        found = {topic: len(bench.messages[topic]) for topic in TOPICS}
        thirty = {topic for topic in TOPICS if "joint_states" not in topic and ("/scene" in topic or "/wrist" in topic)}
        thirty |= {"/joint_states", "/franka_gripper/joint_states"}
        assert {found.pop(topic) for topic in thirty} <= {30, 31}
        ticks = {"/clock": 100, "/sim/object_poses": 100}
        assert found == {"/franka/joint_states": 1000, f"/{ARM}/controller_state": 100, **ticks}

    def test_stamps_are_those_of_the_cycles_and_only_grow(self, robot: Simulated) -> None:
        robot.operator.run_simulation(1.0)
        bench = robot.bench
        arm_ns = bench.stamps_ns("/franka/joint_states")
        assert (np.diff(arm_ns) == MS).all()
        begin_ns, end_ns = int(arm_ns[0]), int(arm_ns[0]) + 1000 * MS
        assert (bench.stamps_ns("/clock") == np.arange(begin_ns + TICK_NS, end_ns + 1, TICK_NS)).all()
        for topic in TOPICS:
            stamps_ns = bench.stamps_ns(topic)
            assert (np.diff(stamps_ns) > 0).all(), topic
            assert begin_ns <= stamps_ns[0], topic
        for topic in ("/joint_states", "/franka_gripper/joint_states", f"/{ARM}/controller_state"):
            assert set(bench.stamps_ns(topic)) <= set(arm_ns), topic
        exact_ns = np.arange(begin_ns * 30 // 10**9, end_ns * 30 // 10**9 + 1) * 1e9 / 30
        due_ns = np.ceil(exact_ns / MS).astype(np.int64) * MS
        due_ns = due_ns[(due_ns >= begin_ns) & (due_ns < end_ns)]
        for role in ("scene", "wrist"):
            images_ns = bench.stamps_ns(f"/{role}/image_raw")
            np.testing.assert_array_equal(images_ns[images_ns < end_ns], due_ns)
            np.testing.assert_array_equal(bench.stamps_ns(f"/{role}/camera_info"), images_ns)

    def test_joint_states_have_the_robots_names_and_the_merged_ones_the_fingers_too(self, robot: Simulated) -> None:
        robot.operator.run_simulation(0.2)
        kept = robot.bench.messages
        assert all(message.name == JOINTS for message in kept["/franka/joint_states"])
        assert all(message.name == FINGERS for message in kept["/franka_gripper/joint_states"])
        arm = {to_ns(message.header.stamp): message for message in kept["/franka/joint_states"]}
        for message in kept["/joint_states"]:
            same = arm[to_ns(message.header.stamp)]
            assert message.name == [*JOINTS, *FINGERS]
            assert message.position[:7] == same.position
            assert message.velocity[:7] == same.velocity
            assert message.effort[:7] == same.effort
            assert message.position[7:].tolist() == pytest.approx([0.04, 0.04], abs=1e-3)
        np.testing.assert_allclose(robot.bench.positions()[-1], HOME, atol=5e-3)

    def test_images_are_what_the_camera_info_says_and_show_the_scene(self, robot: Simulated) -> None:
        robot.operator.run_simulation(0.2)
        for role in ("scene", "wrist"):
            images, infos = robot.bench.messages[f"/{role}/image_raw"], robot.bench.messages[f"/{role}/camera_info"]
            for image, info in zip(images, infos, strict=True):
                assert (image.width, image.height, image.encoding) == (128, 96, "rgb8")
                assert (info.width, info.height) == (128, 96)
                assert image.header.frame_id == info.header.frame_id == role
                assert len(image.data) == image.step * image.height == 3 * 128 * 96
            pixels = np.frombuffer(images[-1].data, np.uint8).reshape(96, 128, 3).astype(int)
            red = (pixels[..., 0] > 1.5 * pixels[..., 1]) & (pixels[..., 0] > 1.5 * pixels[..., 2])
            assert pixels.std() > 10
            assert role != "scene" or red.sum() > 10  # the cube

    def test_a_trajectory_is_followed_in_whatever_order_its_joints_are(self, robot: Simulated) -> None:
        goal = moved(0, 0.2)
        robot.bench.send(trajectory_to(goal, joints=JOINTS[::-1]))
        robot.operator.run_simulation(1.3)
        bench = robot.bench
        begin_ns = bench.stamps_ns("/franka/joint_states")[0] + TICK_NS  # it was delivered at the end of the first tick
        share = ((bench.stamps_ns(f"/{ARM}/controller_state") - begin_ns) * 1e-9).clip(0.0, 1.0)
        reference = bench.references()
        wanted = HOME[0] + 0.2 * (10 * share**3 - 15 * share**4 + 6 * share**5)
        np.testing.assert_allclose(reference[:, 0, 0], wanted, atol=1e-3)
        np.testing.assert_allclose(reference[:, 0, 1:], np.tile(HOME[1:], (len(share), 1)), atol=1e-6)
        np.testing.assert_allclose(reference[-1], [goal, np.zeros(7), np.zeros(7)], atol=1e-9)
        np.testing.assert_allclose(bench.positions()[-1], goal, atol=5e-3)
        newest = bench.messages[f"/{ARM}/controller_state"][-1]
        np.testing.assert_allclose(newest.error.positions, goal - np.array(newest.feedback.positions), atol=1e-9)

    def test_refused_trajectories_leave_the_old_motion_as_it_was(self, robot: Simulated) -> None:
        bench, goal = robot.bench, moved(0, 0.2)

        def followed(between: Sequence[JointTrajectory]) -> np.ndarray:
            robot.operator.reset_world(1, HOME.tolist())
            robot.operator.run_simulation(0.1)
            bench.clear()
            bench.send(trajectory_to(goal))
            robot.operator.run_simulation(0.2)
            for trajectory in between:
                bench.send(trajectory)
                robot.operator.run_simulation(0.1)
            robot.operator.run_simulation(1.1 - 0.1 * len(between))
            return bench.references()

        undisturbed = followed([])
        late = trajectory_to(moved(0, -0.5), 0.01)
        late.header.stamp = to_time(int(bench.stamps_ns("/clock")[-1]) + 150 * MS)  # its end will have passed
        np.testing.assert_array_equal(followed([*faulty().values(), late]), undisturbed)
        np.testing.assert_allclose(undisturbed[-1, 0], goal, atol=1e-9)

    def test_the_trajectory_action_succeeds_is_cancelled_and_refuses(self, robot: Simulated) -> None:
        bench, operator = robot.bench, robot.operator
        goal = bench.follow(trajectory_to(moved(0, 0.2)))
        assert goal.accepted
        operator.run_simulation(1.3)
        ended = result_of(goal)
        assert (ended.status, ended.result.error_code) == (GoalStatus.STATUS_SUCCEEDED, 0)
        np.testing.assert_allclose(bench.positions()[-1], moved(0, 0.2), atol=5e-3)

        goal = bench.follow(trajectory_to(moved(0, -0.2)))
        operator.run_simulation(0.5)
        assert not bench.follow(faulty()["unknown"]).accepted
        operator.run_simulation(0.1)
        assert bench.references()[-1, 1, 0] < -0.3  # rad/s: goes on
        cancelled = goal.cancel_goal_async()
        eventually(cancelled.done)
        operator.run_simulation(1.0)
        assert result_of(goal).status == GoalStatus.STATUS_CANCELED
        reference = bench.references()
        np.testing.assert_allclose(reference[-1, 1], 0.0, atol=1e-9)
        assert -0.15 < reference[-1, 0, 0] < 0.15
        assert np.abs(np.diff(reference[:, 1, 0])).max() < 0.06  # 5 rad/s^2 for 10 ms: not stopped at once

    def test_controllers_are_switched_and_forward_commands_go_straight_through(self, robot: Simulated) -> None:
        bench, operator = robot.bench, robot.operator
        if FORWARD not in bench.states():
            assert bench.call("/controller_manager/load_controller", LoadController.Request(name=FORWARD)).ok
            assert bench.states()[FORWARD] == "unconfigured"
            assert bench.call("/controller_manager/configure_controller", ConfigureController.Request(name=FORWARD)).ok
        answer = bench.switch([FORWARD], [])
        assert not answer.ok
        assert "command interface 'fr3_joint1/position' is claimed by another controller" in answer.message
        assert bench.switch([FORWARD], [ARM]).ok
        assert bench.states() == {FORWARD: "active", ARM: "inactive", "joint_state_broadcaster": "active"}

        bench.command(moved(3, 0.01))
        bench.send(trajectory_to(moved(0, 0.5)))  # nobody is active who would take it
        operator.run_simulation(0.5)
        np.testing.assert_allclose(bench.positions()[-1], moved(3, 0.01), atol=5e-3)
        assert bench.messages[f"/{ARM}/controller_state"] == []

        bench.command([float("nan")] * 7)  # dropped whole
        operator.run_simulation(0.1)
        assert bench.states()[FORWARD] == "active"
        bench.command([0.0] * 6)
        operator.run_simulation(0.1)
        assert bench.states()[FORWARD] == "inactive"
        np.testing.assert_allclose(bench.positions()[-1], moved(3, 0.01), atol=5e-3)
        assert bench.switch([ARM], []).ok
        operator.run_simulation(0.1)
        assert len(bench.messages[f"/{ARM}/controller_state"]) == 10

    def test_a_gripper_goal_is_half_of_the_width_and_its_result_the_whole(self, robot: Simulated) -> None:
        bench, operator = robot.bench, robot.operator
        goal = bench.grip(0.01)
        operator.run_simulation(1.2)  # 60 mm at 100 mm/s
        ended = result_of(goal)
        assert ended.status == GoalStatus.STATUS_SUCCEEDED
        assert ended.result.reached_goal
        assert ended.result.position == pytest.approx(0.02, abs=2e-3)
        fingers = bench.messages["/franka_gripper/joint_states"][-1]
        assert fingers.position.tolist() == pytest.approx([0.01, 0.01], abs=1e-3)
        assert result_of(bench.grip(0.05)).status == GoalStatus.STATUS_ABORTED  # 100 mm of 80
        replaced = bench.grip(0.04)
        operator.run_simulation(0.1)
        last = bench.grip(0.03)
        operator.run_simulation(1.0)
        assert result_of(replaced).status == GoalStatus.STATUS_ABORTED
        assert result_of(last).status == GoalStatus.STATUS_SUCCEEDED
        assert bench.messages["/joint_states"][-1].position[7] == pytest.approx(0.03, abs=1e-3)


def test_in_real_time_the_rates_hold_by_the_stamps_and_trajectories_are_followed() -> None:
    graph = bringup_graph(Bringup())
    with (
        Supervisor(graph.processes, os.environ) as supervisor,
        Operator(supervisor.check) as operator,
        Nodes() as nodes,
    ):
        bench = nodes.start("bench", Bench)
        first = eventually(lambda: [int(stamp) for stamp in bench.stamps_ns("/franka/joint_states")[:1]], 60.0)[0]
        bench.send(trajectory_to(moved(0, 0.2)))
        eventually(lambda: (bench.stamps_ns("/wrist/camera_info") > first + 2_000 * MS).any(), 60.0)
        for topic, rate_hz in {
            "/franka/joint_states": 1000,
            f"/{ARM}/controller_state": 100,
            "/joint_states": 30,
            "/franka_gripper/joint_states": 30,
            "/scene/image_raw": 30,
            "/wrist/camera_info": 30,
        }.items():
            stamps_ns = bench.stamps_ns(topic)
            assert (np.diff(stamps_ns) > 0).all(), topic
            assert (len(stamps_ns) - 1) / ((stamps_ns[-1] - stamps_ns[0]) * 1e-9) == pytest.approx(rate_hz, rel=0.05)
        assert (np.diff(bench.stamps_ns("/clock")) > 0).all()
        eventually(lambda: abs(bench.references()[-1, 0, 0] - 0.2) < 1e-9, 60.0)
        assert not operator.sim.paused


def test_a_trace_that_cannot_be_written_is_found_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "trace"
    found = f"trace: expected a folder that can be made, found {folder}"
    with pytest.raises(ProcessDied, match=found), running(bringup_graph(Bringup(trace=str(folder)))) as operator:
        operator.sim  # noqa: B018  waits for it
