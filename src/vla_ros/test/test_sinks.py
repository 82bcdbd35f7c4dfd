"""What each kind of controller is sent of a plan: where it is one period ahead, up to its rest, and that it rests."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy and the built interfaces")

from geometry_msgs.msg import PoseStamped, TwistStamped
from nav_msgs.msg import Path as PathMessage
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from vla_core.action_spaces import command_space
from vla_core.embodiment import Embodiment, load_embodiment
from vla_core.embodiment.spaces import TOLD_EVERY_TICK, CartesianLimit, CartesianLimits
from vla_core.execution.faults import FaultName
from vla_core.motion.plan import MotionPlan
from vla_core.motion.polynomial import State
from vla_ros.robot.sinks import ArmSink, arm_sink
from vla_ros.robot.state_messages import STATE_MESSAGES
from vla_ros.time import to_ns

pytestmark = pytest.mark.ros
EMBODIMENTS = Path(__file__).parents[3] / "config" / "embodiments"
HOME = np.array([0.0, -np.pi / 4, 0.0, -3 * np.pi / 4, 0.0, np.pi / 2, np.pi / 4])
MS = 1_000_000


class Publishing:
    """Stands in for a host in lockstep: keeps what is published, by topic."""

    def __init__(self) -> None:
        self.kinds: dict[str, type] = {}
        self.sent: dict[str, list[Any]] = {}
        self.ticks: list[Callable[[int], None]] = []
        self.pacer = type("Pacer", (), {"holds_back": True})

    def publisher(self, kind: type, topic: str, profile: object) -> Any:
        self.kinds[topic] = kind
        kept = self.sent[topic] = []
        return type("Publisher", (), {"publish": staticmethod(kept.append)})()

    def every(self, period_ns: int, tick: Callable[[int], None]) -> None:
        self.ticks.append(tick)


def with_arm(name: str, kind: str, topic: str | None = None) -> Embodiment:
    robot = load_embodiment(EMBODIMENTS / f"{name}.yaml")
    return dataclasses.replace(robot, arm=dataclasses.replace(robot.arm, kind=kind, topic=topic))  # type: ignore[arg-type]


def sink_of(robot: Embodiment, host: Publishing) -> ArmSink:
    return arm_sink(host, robot, command_space(robot))  # type: ignore[arg-type]


def moving(start: np.ndarray, way: np.ndarray, begins_ns: int = 0, lasts_ns: int = 500 * MS) -> MotionPlan:
    return MotionPlan.through([begins_ns, begins_ns + lasts_ns], [State.at_rest(start), State.at_rest(start + way)])


def send_all(
    host: Publishing, sink: ArmSink, plan: MotionPlan, period_ns: int = 10 * MS, until_ns: int = 700 * MS
) -> int:
    """Sends a plan that begins at 0, from the tick before on; returns how many commands the sink says it were."""
    sent = 0
    for now_ns in range(-period_ns, until_ns, period_ns):
        sent += sink.send(plan, now_ns < 0, now_ns)
        for tick in host.ticks:
            tick(now_ns)
    return sent


@pytest.mark.parametrize(("kind", "part"), [("forward_command", "position"), ("forward_velocity", "velocity")])
def test_a_forward_controller_gets_every_period_what_is_meant_next_and_the_rest_once(kind: str, part: str) -> None:
    host, robot = Publishing(), with_arm("fr3", kind)
    sink = sink_of(robot, host)
    plan = moving(HOME, np.full(7, 0.3))
    assert send_all(host, sink, plan) == 52
    assert host.kinds == {"/fr3_arm_controller/commands": Float64MultiArray}
    sent = np.array([message.data for message in host.sent["/fr3_arm_controller/commands"]])
    expected = np.array([getattr(plan.state_at(tick * 10 * MS), part) for tick in range(52)])
    np.testing.assert_array_equal(sent, expected)
    np.testing.assert_array_equal(sent[-1], HOME + 0.3 if part == "position" else 0.0)


def test_there_are_messages_for_every_controller_that_is_told_every_tick() -> None:
    assert set(STATE_MESSAGES) == set(TOLD_EVERY_TICK)


def test_an_impedance_controller_gets_positions_and_velocities_with_names() -> None:
    host, robot = Publishing(), with_arm("fr3", "joint_impedance", topic="/target_joint")
    plan = moving(HOME, np.full(7, 0.3), begins_ns=100 * MS)
    sink = sink_of(robot, host)
    host.ticks[0](80 * MS)
    assert not host.sent["/target_joint"], "nothing is meant yet"
    sink.send(plan, True, 90 * MS)
    host.ticks[0](100 * MS)
    (message,) = host.sent["/target_joint"]
    assert isinstance(message, JointState)
    assert list(message.name) == list(robot.joint_names)
    np.testing.assert_array_equal(message.position, plan.state_at(110 * MS).position)
    np.testing.assert_array_equal(message.velocity, plan.state_at(110 * MS).velocity)
    assert to_ns(message.header.stamp) == 110 * MS


def test_a_plan_that_comes_too_late_is_not_begun_in_the_middle() -> None:
    host, robot = Publishing(), with_arm("fr3", "forward_command")
    sink = sink_of(robot, host)
    sink.send(moving(HOME, np.full(7, 0.3)), True, 100 * MS)
    host.ticks[0](100 * MS)
    assert not host.sent["/fr3_arm_controller/commands"]
    fault = sink.fault(100 * MS)
    assert fault is not None
    assert fault.name is FaultName.COMMANDS_LOST
    assert fault.message.endswith("the first plan came too late: it moves already")


def test_a_trajectory_controller_gets_each_plan_once() -> None:
    host, robot = Publishing(), with_arm("fr3", "joint_trajectory")
    assert send_all(host, sink_of(robot, host), moving(HOME, np.full(7, 0.3))) == 1
    assert host.kinds == {"/fr3_arm_controller/joint_trajectory": JointTrajectory}


def test_a_base_gets_its_twist_and_zero_in_the_end() -> None:
    host, robot = Publishing(), with_arm("mobile_base", "base_velocity")
    plan = moving(np.zeros(2), np.array([0.1, 0.05]))
    sent = send_all(host, sink_of(robot, host), plan, 20 * MS)
    messages = host.sent["/base_controller/cmd_vel"]
    assert host.kinds["/base_controller/cmd_vel"] is TwistStamped
    assert len(messages) == sent == 27
    found = [(one.twist.linear.x, one.twist.angular.z) for one in messages]
    np.testing.assert_array_equal(found, [plan.state_at(tick * 20 * MS).velocity for tick in range(27)])
    assert found[-1] == (0.0, 0.0)
    assert messages[3].twist.linear.y == 0.0


def test_a_follower_of_paths_gets_the_way_to_the_rest() -> None:
    host, robot = Publishing(), with_arm("mobile_base_waypoints", "base_path")
    sink = sink_of(robot, host)
    plan = moving(np.zeros(2), np.array([0.5, np.pi / 2]))
    assert send_all(host, sink, plan) == 1
    assert host.kinds == {"/plan": PathMessage}
    (path,) = host.sent["/plan"]
    assert path.header.frame_id == "base_link"
    end = path.poses[-1].pose
    radius = 0.5 / (np.pi / 2)
    np.testing.assert_allclose([end.position.x, end.position.y], [radius, radius], atol=2e-3)
    np.testing.assert_allclose([end.orientation.z, end.orientation.w], [np.sqrt(0.5)] * 2, atol=1e-9)


class TestPoses:
    @pytest.fixture(autouse=True)
    def needs_kinematics(self) -> None:
        pytest.importorskip("mink", reason="needs MuJoCo and mink: vla_core[kinematics]")

    def test_a_cartesian_controller_gets_poses(self) -> None:
        host, robot = Publishing(), with_arm("fr3_sim_tcp", "cartesian_pose", topic="/target_pose")
        limits = CartesianLimits(CartesianLimit(1.0, 4.0, 100.0), CartesianLimit(2.0, 8.0, 200.0))
        robot = dataclasses.replace(robot, cartesian=limits)
        space = command_space(robot)
        begun = space.begin(HOME)
        sink = arm_sink(host, robot, space)  # type: ignore[arg-type]
        assert send_all(host, sink, moving(begun, np.array([0.1, 0.0, 0.0, 0.0, 0.0, 0.5]))) == 52
        messages = host.sent["/target_pose"]
        assert {type(message) for message in messages} == {PoseStamped}
        assert messages[0].header.frame_id == "fr3_link0"
        end = messages[-1].pose
        np.testing.assert_allclose(end.position.x, begun[0] + 0.1)
        # the hand points down: x, y, z, w of a half turn about x, after which the base turns by 0.5 rad about z
        np.testing.assert_allclose(
            np.abs([end.orientation.x, end.orientation.y, end.orientation.z, end.orientation.w]),
            [np.cos(0.25), np.sin(0.25), 0.0, 0.0],
            atol=1e-3,
        )

    def test_where_the_tool_is_commanded_to_be_is_told_to_recorders(self) -> None:
        host, robot = Publishing(), with_arm("fr3_sim_tcp", "joint_trajectory")
        plan = moving(HOME, np.full(7, 0.1))
        assert send_all(host, sink_of(robot, host), plan) == 1, "the pose is no command"
        told = host.sent["/tcp/command"]
        assert len(told) == 71
        space = command_space(robot)
        place, turn = space.pose(plan.state_at(200 * MS).position)  # type: ignore[attr-defined]
        found = told[21].pose
        np.testing.assert_allclose([found.position.x, found.position.y, found.position.z], place)
        np.testing.assert_allclose([found.orientation.x, found.orientation.w], [turn[0], turn[3]])
