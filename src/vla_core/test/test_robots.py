"""Every shipped robot: its embodiment loads, and chunks of its action space go through the executor inside of its limits."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from vla_core.action_chunk import ActionChunk
from vla_core.chunking import RecedingHorizon
from vla_core.embodiment import Embodiment, load_embodiment
from vla_core.errors import ChunkError, EmbodimentMismatch
from vla_core.execution import Executor, ExecutorState
from vla_core.motion.measure import CommandMeter
from vla_core.motion.region import Region
from vla_core.motion.travel import travelled

SHIPPED = Path(__file__).parents[3] / "config" / "embodiments"
MS = 1_000_000
FR3_HOME = np.array([0.0, -np.pi / 4, 0.0, -3 * np.pi / 4, 0.0, np.pi / 2, np.pi / 4])


def shipped(name: str) -> Embodiment:
    return load_embodiment(SHIPPED / f"{name}.yaml")


class Run:
    """An executor that is ticked as a command_node would, and what the robot's controller commands at 1 kHz."""

    def __init__(self, robot: Embodiment, position: np.ndarray, region: Region | None = None) -> None:
        self.robot = robot
        self.period_ns = round(1e9 / robot.motion.control_rate_hz)
        self.executor = Executor(robot, RecedingHorizon(0.0), region)
        self.now_ns = 1_000 * MS
        self.positions: list[np.ndarray] = []
        self.velocities: list[np.ndarray] = []
        self.gripper: list[float] = []
        self.executor.arm(position, np.zeros(len(position)), 0.04 if robot.gripper else None, self.now_ns, False)

    def submit(self, actions: np.ndarray) -> None:
        chunk = ActionChunk(actions, self.robot.action_names, self.now_ns, self.robot.step_ns, self.now_ns)
        self.executor.submit(chunk, self.now_ns)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * 1e9 / self.period_ns)):
            output = self.executor.tick(self.now_ns)
            assert output is not None
            plan = output.smoothed.plan
            states = [plan.state_at(self.now_ns + k * MS) for k in range(self.period_ns // MS)]
            self.positions += [state.position for state in states]
            self.velocities += [state.velocity for state in states]
            if output.gripper is not None:
                self.gripper.append(output.gripper)
            self.now_ns += self.period_ns

    def require_limits_and_rest(self) -> None:
        meter = CommandMeter(self.executor.axes.limits, 1e-3)
        meter.add(np.array(self.positions))
        assert meter.quality.violations == 0
        np.testing.assert_array_equal(self.velocities[-1], 0.0)


@pytest.mark.parametrize(
    ("name", "kind", "dims"),
    [
        ("fr3", "joint_position", 8),
        ("fr3_sim", "joint_position", 8),
        ("fr3_sim_tcp", "tcp_pose", 8),
        ("fr3_sim_tcp_delta", "tcp_delta", 7),
        ("aloha", "joint_position", 14),
        ("mobile_base", "base_velocity", 2),
        ("mobile_base_waypoints", "base_waypoints", 2),
        ("quadruped", "joint_position", 12),
    ],
)
def test_every_shipped_robot_can_be_executed_on(name: str, kind: str, dims: int) -> None:
    robot = shipped(name)
    assert (robot.name, robot.action.kind, len(robot.action_names)) == (name, kind, dims)
    if kind.startswith("tcp"):
        pytest.importorskip("mink", reason="needs MuJoCo and mink: vla_core[kinematics]")
    assert len(Executor(robot, RecedingHorizon()).axes.names) == len(robot.joints)


def test_no_robot_is_shipped_that_is_not_tested() -> None:
    assert {path.stem for path in SHIPPED.glob("*.yaml")} == {
        "fr3", "fr3_sim", "fr3_sim_tcp", "fr3_sim_tcp_delta", "aloha", "mobile_base", "mobile_base_waypoints", "quadruped"
    }  # fmt: skip


@pytest.mark.parametrize("name", ["aloha", "quadruped"])
def test_chunks_of_joints_are_followed_and_the_limits_kept(name: str) -> None:
    robot = shipped(name)
    middle = np.array([(joint.position.min + joint.position.max) / 2.0 for joint in robot.joints])
    reach = np.array([(joint.position.max - joint.position.min) / 8.0 for joint in robot.joints])
    run = Run(robot, middle)
    times = np.arange(int(3.0 / (robot.step_ns * 1e-9))) * robot.step_ns * 1e-9
    wave = middle + reach * np.sin(2 * np.pi * 0.15 * times)[:, None] ** 2  # it begins at rest
    run.submit(wave)
    run.run(4.0)
    followed = np.array(run.positions)[500:2500]
    asked = middle + reach * np.sin(2 * np.pi * 0.15 * np.arange(500, 2500) * 1e-3)[:, None] ** 2
    assert (np.abs(followed - asked) < 0.02 * reach + 2e-4).all()
    run.require_limits_and_rest()


def test_the_velocities_of_a_base_are_driven_and_silence_stops_it() -> None:
    run = Run(shipped("mobile_base"), np.zeros(2))
    run.executor.expect_chunks(True)
    for _ in range(4):
        run.submit(np.tile([0.3, 0.5], (4, 1)))
        run.run(0.5)
    np.testing.assert_allclose(run.velocities[-1], [0.3, 0.5], atol=1e-3)
    run.run(3.0)
    assert run.executor.state is ExecutorState.FAULT
    run.require_limits_and_rest()


def test_a_base_at_half_speed_drives_the_same_way_at_half_the_velocity() -> None:
    run = Run(shipped("mobile_base"), np.zeros(2))
    run.executor.set_speed(0.5, run.now_ns)
    run.submit(np.tile([0.4, 0.2], (12, 1)))
    run.run(2.0)
    np.testing.assert_allclose(run.velocities[-1], [0.2, 0.1], atol=1e-3)


def test_a_base_drives_to_its_waypoints() -> None:
    robot = shipped("mobile_base_waypoints")
    run = Run(robot, np.zeros(2))
    along = np.arange(1, 17)[:, None] * 0.06
    places = np.concatenate([np.sin(along), 1.0 - np.cos(along)], axis=1)  # 4 s on an arc of 1 m of radius, at 0.24 m/s
    run.submit(places)
    assert run.executor.tick(run.now_ns) is not None
    run.run(7.0)
    drives = np.array(run.positions)
    x = y = yaw = 0.0
    for forwards, turned in np.diff(drives, axis=0):
        yaw += turned
        x, y = x + np.cos(yaw) * forwards, y + np.sin(yaw) * forwards
    nearest = np.hypot(x - places[:, 0], y - places[:, 1]).min()
    assert abs(np.hypot(x, y - 1.0) - 1.0) < 0.06, "it stays near the arc"
    assert nearest < 0.15
    run.require_limits_and_rest()


def test_the_way_of_a_plan_is_that_of_the_base() -> None:
    run = Run(shipped("mobile_base"), np.zeros(2))
    run.submit(np.tile([0.4, 0.4], (8, 1)))
    run.run(0.5)
    output = run.executor.tick(run.now_ns)
    assert output is not None
    plan = output.smoothed.plan
    way = travelled(plan, ("linear_x", "angular_z"), run.now_ns)
    np.testing.assert_array_equal(way[0], 0.0)
    turned = plan.positions[-1] - plan.state_at(run.now_ns).position
    np.testing.assert_allclose(way[-1, 2], turned[1], atol=1e-9)
    lengths = np.linalg.norm(np.diff(way[:, :2], axis=0), axis=1)
    np.testing.assert_allclose(lengths.sum(), turned[0], rtol=1e-3)


def test_a_gripper_that_is_continuous_is_told_changes_and_its_ends() -> None:
    robot = shipped("fr3")
    assert robot.gripper is not None
    robot = dataclasses.replace(robot, gripper=dataclasses.replace(robot.gripper, mode="continuous", resolution=0.002))
    run = Run(robot, FR3_HOME)
    closing = np.linspace(0.04, 0.0, 31)
    run.submit(np.column_stack([np.tile(FR3_HOME, (31, 1)), closing]))
    run.run(1.5)
    assert run.gripper[-1] == 0.0
    steps = -np.diff([0.04, *run.gripper])
    assert (steps[:-1] >= 0.002).all()
    assert 15 <= len(run.gripper) <= 21


def test_a_teleoperator_of_joints_does_not_fit_a_robot_of_velocities() -> None:
    from vla_core.embodiment.schema import Teleoperation

    robot = dataclasses.replace(shipped("mobile_base"), teleoperation=Teleoperation("/leader"))
    with pytest.raises(EmbodimentMismatch, match="teleoperation: expected actions of the kind joint_position"):
        Executor(robot, RecedingHorizon())


def test_a_lead_that_is_too_short_to_be_told_in_is_refused_where_it_is_commanded() -> None:
    robot = shipped("quadruped")  # told at 200 Hz
    short = dataclasses.replace(robot, motion=dataclasses.replace(robot.motion, lead_ms=14.0))
    with pytest.raises(EmbodimentMismatch, match=r"motion.lead_ms: expected at least 15, three periods.*found 14"):
        Executor(short, RecedingHorizon())
    Executor(dataclasses.replace(robot, motion=dataclasses.replace(robot.motion, lead_ms=15.0)), RecedingHorizon())


class TestPoses:
    """The FR3 whose actions are poses of its tool."""

    @pytest.fixture(autouse=True)
    def needs_kinematics(self) -> None:
        pytest.importorskip("mink", reason="needs MuJoCo and mink: vla_core[kinematics]")

    @pytest.fixture
    def robot(self) -> Embodiment:
        return shipped("fr3_sim_tcp")

    def poses(self, robot: Embodiment, count: int, move: np.ndarray) -> np.ndarray:
        """A straight line of poses from home on, with its times' places (count, 8)."""
        from vla_core.kinematics import KinematicModel
        from vla_core.rotations import from_matrix

        place, turn = KinematicModel(robot).tcp_pose(FR3_HOME)
        along = 0.5 - 0.5 * np.cos(np.linspace(0.0, np.pi, count))
        quaternion = from_matrix(turn[None], "quaternion_xyzw")[0]
        rows = [np.concatenate([place + share * move, quaternion, [0.04]]) for share in along]
        return np.array(rows)

    def test_the_tool_follows_poses(self, robot: Embodiment) -> None:
        from vla_core.kinematics import KinematicModel

        run = Run(robot, FR3_HOME)
        asked = self.poses(robot, 61, np.array([0.1, 0.15, -0.1]))
        run.submit(asked)
        run.run(3.0)
        model = KinematicModel(robot)
        for index in range(10, 60, 5):
            there = model.tcp_pose(run.positions[round(index * robot.step_ns / MS)])[0]
            assert np.linalg.norm(there - asked[index, :3]) < 1e-3
        run.require_limits_and_rest()

    def test_a_line_out_of_reach_ends_in_a_slow_down_along_it(self, robot: Embodiment) -> None:
        from vla_core.kinematics import KinematicModel

        run = Run(robot, FR3_HOME)
        asked = self.poses(robot, 181, np.array([0.9, 0.0, 0.0]))
        run.submit(asked)
        assert "too near a singularity" in run.executor.message
        run.run(6.0)
        model = KinematicModel(robot)
        found = np.array([model.tcp_pose(position)[0] for position in run.positions[::20]])
        assert np.abs(found[:, 1:] - asked[0, 1:3]).max() < 0.03, "near the line"
        assert found[-1, 0] - asked[0, 0] > 0.2
        run.require_limits_and_rest()

    def test_a_chunk_altogether_out_of_reach_is_refused(self, robot: Embodiment) -> None:
        run = Run(robot, FR3_HOME)
        with pytest.raises(ChunkError, match=r"the pose of action 0 at \[2.3.* cannot be reached"):
            run.submit(self.poses(robot, 5, np.zeros(3)) + np.array([2.0, *np.zeros(7)]))
        assert run.executor.counters.chunks_refused == 1
        assert run.executor.state is ExecutorState.ARMED

    def test_poses_for_a_cartesian_controller_keep_its_limits_and_its_workspace(self, robot: Embodiment) -> None:
        from vla_core.embodiment.spaces import Box, CartesianLimit, CartesianLimits

        assert robot.kinematics is not None
        robot = dataclasses.replace(
            robot,
            arm=dataclasses.replace(robot.arm, kind="cartesian_pose"),
            cartesian=CartesianLimits(CartesianLimit(0.5, 2.0, 60.0), CartesianLimit(1.0, 4.0, 120.0)),
            kinematics=dataclasses.replace(robot.kinematics, workspace=Box((0.1, -0.4, 0.4), (0.7, 0.4, 0.8))),
        )
        run = Run(robot, FR3_HOME)
        asked = self.poses(robot, 91, np.array([0.1, 0.2, 0.05]))
        run.submit(asked)
        run.run(3.5)
        found = np.array(run.positions)
        for index in range(10, 90, 5):
            assert np.linalg.norm(found[round(index * robot.step_ns / MS)][:3] - asked[index, :3]) < 1e-3
        run.submit(self.poses(robot, 61, np.array([0.1, 0.2, -0.3])) + np.array([0.1, 0.2, 0.05, *np.zeros(5)]))
        run.run(3.5)
        found = np.array(run.positions)
        speeds = np.linalg.norm(np.diff(found[:, :3], axis=0), axis=1) / 1e-3
        assert speeds.max() <= 0.5
        assert found[:, 2].min() >= 0.4
        run.require_limits_and_rest()

    @pytest.mark.parametrize("what", ["workspace", "self_distance"])
    def test_a_region_is_left_by_nobody(self, robot: Embodiment, what: str) -> None:
        from vla_core.embodiment.spaces import Box
        from vla_core.kinematics import region_of

        assert robot.kinematics is not None
        if what == "workspace":
            settings = dataclasses.replace(robot.kinematics, workspace=Box((0.1, -0.4, 0.4), (0.7, 0.4, 0.8)))
            move = np.array([0.0, 0.0, -0.3])  # from 0.487 m down through the box's floor
        else:
            settings = dataclasses.replace(robot.kinematics, self_distance=0.05)
            move = np.array([-0.25, 0.0, -0.3])  # towards its own foot
        robot = dataclasses.replace(robot, kinematics=settings)
        region = region_of(robot)
        assert region is not None
        run = Run(robot, FR3_HOME, region)
        run.submit(self.poses(robot, 121, move))
        run.run(4.5)
        clearance = region.clearance(np.array(run.positions[::10]))
        assert clearance.min() > -1e-6
        assert clearance[-1] < 0.03, "it has come to the edge"
        run.require_limits_and_rest()
