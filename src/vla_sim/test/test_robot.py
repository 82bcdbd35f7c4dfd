"""The whole simulated robot: controllers, gripper and plant, cycle by cycle."""

from __future__ import annotations

import copy
import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_sim.controllers.forward_command import ForwardCommandController
from vla_sim.controllers.joint_trajectory import JointTrajectoryController
from vla_sim.controllers.manager import STRICT
from vla_sim.controllers.messages import GoalStatus, JointTrajectory, Point
from vla_sim.controllers.parameters import ControllersFile
from vla_sim.errors import SimulationError
from vla_sim.mock_plant import MockPlant
from vla_sim.models import RobotModel
from vla_sim.mujoco_plant import MujocoPlant
from vla_sim.plant import World
from vla_sim.robot import CycleLog, SimulatedRobot
from vla_sim.tasks.pick_place import PickPlace

START_NS = 1_000_000_000
JOINTS = tuple(f"fr3_joint{index}" for index in range(1, 8))


def mock_robot(controllers: ControllersFile) -> SimulatedRobot:
    made = SimulatedRobot(MockPlant(JOINTS, ("scene",)), controllers, World(np.full(7, 0.1), 0.04), START_NS)
    made.start("joint_state_broadcaster", "fr3_arm_controller")
    return made


def arm(robot: SimulatedRobot) -> JointTrajectoryController:
    found = robot.manager.controller("fr3_arm_controller")
    assert isinstance(found, JointTrajectoryController)
    return found


def send(robot: SimulatedRobot, position: np.ndarray, seconds: float) -> None:
    point = Point(round(seconds * 1e9), position, np.zeros(7), np.zeros(7))
    assert arm(robot).submit(JointTrajectory(0, JOINTS, (point,)), robot.time_ns) is None


def test_the_arm_follows_a_trajectory_and_the_log_says_what_happened(robot: SimulatedRobot) -> None:
    start = robot.hardware.position.copy()
    send(robot, start + 0.3, 1.0)
    log = robot.run(1500)
    assert (log.time_ns == START_NS + 1_000_000 * np.arange(1500)).all()
    assert log.position[0] == pytest.approx(start)
    assert log.command[-1] == pytest.approx(start + 0.3)
    assert log.position[-1] == pytest.approx(start + 0.3, abs=1e-4)
    assert np.abs(log.position[1:] - log.command[:-1]).max() < 2e-3  # where it was told to be, one cycle later
    reference = log.references["fr3_arm_controller"]
    assert log.command[:-1] == pytest.approx(reference[1:, 0], abs=1e-9)  # the reference, one cycle ahead
    assert np.diff(reference[:, 0], axis=0) * 1e3 == pytest.approx(reference[:-1, 1], abs=5e-3)
    assert robot.time_ns == START_NS + 1_500_000_000
    assert not log.dropped.any()


@given(st.lists(st.integers(1, 40), min_size=1, max_size=5))
def test_however_the_cycles_are_divided_the_result_is_the_same(controllers: ControllersFile, parts: list[int]) -> None:
    logs: list[list[CycleLog]] = []
    for division in ([sum(parts)], parts):
        robot = mock_robot(controllers)
        send(robot, np.linspace(0.0, 0.3, 7), 0.1)
        logs.append([robot.run(cycles) for cycles in division])
    (whole,), pieces = logs
    for key in ("time_ns", "position", "velocity", "command", "finger_position"):
        assert (np.concatenate([getattr(piece, key) for piece in pieces]) == getattr(whole, key)).all()


def test_the_same_inputs_at_the_same_cycles_give_the_same_bits_after_a_reset_too(
    robot: SimulatedRobot, task: PickPlace
) -> None:
    logs = []
    for _ in range(2):
        robot.reset(task.world(3))
        robot.gripper.send_goal(0.0, 20.0)
        send(robot, robot.hardware.position + 0.2, 0.3)
        logs.append(robot.run(400))
    for field in ("position", "velocity", "effort", "command", "finger_position", "finger_effort"):
        assert (getattr(logs[0], field) == getattr(logs[1], field)).all(), field
    assert logs[1].time_ns[0] == logs[0].time_ns[0] + 400_000_000  # time goes on


def test_a_reset_ends_what_was_going_on(robot: SimulatedRobot, task: PickPlace) -> None:
    send(robot, robot.hardware.position + 0.5, 1.0)
    goal = robot.gripper.send_goal(0.0, 20.0)
    robot.run(300)
    world = task.world(5)
    robot.reset(world)
    log = robot.run(200)
    assert goal.status is GoalStatus.ABORTED
    assert log.command == pytest.approx(np.tile(world.arm_position, (200, 1)), abs=1e-9)
    assert log.finger_position[-1] == pytest.approx([0.04, 0.04], abs=1e-3)
    assert [controller.name for controller in robot.manager.active] == ["joint_state_broadcaster", "fr3_arm_controller"]


def test_switching_controllers_does_not_move_the_arm(robot: SimulatedRobot) -> None:
    before = robot.run(10).command[-1]
    for reply in (robot.manager.load("fr3_forward_controller"), robot.manager.configure("fr3_forward_controller")):
        assert reply.ok
    names = ["fr3_forward_controller"], ["fr3_arm_controller"]
    for activate, deactivate in itertools.islice(itertools.cycle([names, names[::-1]]), 4):
        assert robot.manager.switch(activate, deactivate, STRICT, robot.time_ns).ok
        log = robot.run(20)
        assert log.command == pytest.approx(np.tile(before, (20, 1)), abs=1e-12)
        assert ("fr3_arm_controller" in log.references) == (activate == ["fr3_arm_controller"])


def test_a_step_of_a_forward_command_reaches_the_arm_at_once(robot: SimulatedRobot) -> None:
    for reply in (robot.manager.load("fr3_forward_controller"), robot.manager.configure("fr3_forward_controller")):
        assert reply.ok
    assert robot.manager.switch(["fr3_forward_controller"], ["fr3_arm_controller"], STRICT, robot.time_ns).ok
    forward = robot.manager.controller("fr3_forward_controller")
    assert isinstance(forward, ForwardCommandController)
    target = robot.hardware.position + 0.02
    forward.submit(target)
    log = robot.run(400)
    assert (log.command == target).all()
    assert log.position[-1] == pytest.approx(target, abs=1e-3)


def test_a_command_that_is_not_a_number_is_dropped_and_counted(robot: SimulatedRobot) -> None:
    start = robot.hardware.position.copy()
    position = start.copy()
    position[3] = np.nan
    message = JointTrajectory(0, JOINTS, (Point(10_000_000, position), Point(20_000_000, start)))
    assert arm(robot).submit(message, robot.time_ns) is None
    log = robot.run(50)
    assert log.dropped.sum() > 5
    assert np.isfinite(log.command).all()
    assert log.position == pytest.approx(np.tile(start, (50, 1)), abs=1e-3)


def with_path_tolerance(controllers: ControllersFile, tolerance: float) -> ControllersFile:
    """The arm's controller gives up a path that the arm is farther away from than this, in any joint [rad]."""
    parameters = copy.deepcopy(dict(controllers.parameters))
    for joint in JOINTS:
        parameters["fr3_arm_controller"]["constraints"][joint]["trajectory"] = tolerance
    return dataclasses.replace(controllers, parameters=parameters)


def test_a_blocked_arm_whose_controller_has_a_tolerance_stops_instead_of_pushing_on(
    fr3: RobotModel, task: PickPlace, controllers: ControllersFile
) -> None:
    strict = with_path_tolerance(controllers, 0.2)
    robot = SimulatedRobot(MujocoPlant(fr3, task.objects()), strict, task.world(0), START_NS)
    robot.start("joint_state_broadcaster", "fr3_arm_controller")
    send(robot, robot.hardware.position + np.array([0.0, 1.2, 0.0, 0.0, 0.0, 0.0, 0.0]), 2.0)  # into the table
    log = robot.run(2500)
    assert np.abs(log.command - log.position).max() < 0.3
    assert log.command[-1] == pytest.approx(log.command[-300], abs=1e-6)


def test_a_plant_with_another_period_is_refused(fr3: RobotModel, task: PickPlace, controllers: ControllersFile) -> None:
    with pytest.raises(SimulationError, match=r"expected a cycle of 0.002 s"):
        SimulatedRobot(MujocoPlant(fr3, task.objects(), period_s=0.002), controllers, task.world(0))
    slower = dataclasses.replace(controllers, update_rate_hz=500)
    assert (
        SimulatedRobot(MujocoPlant(fr3, task.objects(), period_s=0.002), slower, task.world(0)).run(3).time_ns[2]
        == 4_000_000
    )


def test_the_mock_mirrors_commands_as_mock_components_do(controllers: ControllersFile) -> None:
    robot = mock_robot(controllers)
    send(robot, np.zeros(7), 0.2)
    log = robot.run(300)
    assert (log.position[1:] == log.command[:-1]).all()
    assert log.velocity[1:] == pytest.approx(np.diff(log.position, axis=0) * 1e3)
    assert np.isnan(log.effort).all()
    required = {row.name: row.required_state_interfaces for row in robot.manager.list_controllers()}
    assert "fr3_joint1/effort" not in required["joint_state_broadcaster"]


def test_the_fingers_of_the_mock_move_at_the_grippers_speed(controllers: ControllersFile) -> None:
    robot = mock_robot(controllers)
    goal = robot.gripper.send_goal(0.0, 20.0)
    log = robot.run(1000)
    assert log.finger_position[400] == pytest.approx([0.02, 0.02], abs=1e-4)
    assert goal.status is GoalStatus.SUCCEEDED


def test_the_mocks_test_pattern_tells_its_frame_and_has_the_size_asked_for() -> None:
    plant = MockPlant(JOINTS, ("scene", "wrist"))
    numbers = []
    for _ in range(5):
        image = plant.render("scene", 64, 48)
        assert image.shape == (48, 64, 3)
        numbers.append(sum(1 << bit for bit in range(32) if image[0, bit, 0] == 255))
    assert numbers == [0, 1, 2, 3, 4]
    assert plant.render("wrist", 64, 48)[0, :32].max() == 0
    with pytest.raises(SimulationError, match="expected 'scene' or 'wrist', found 'top'"):
        plant.render("top", 64, 48)
