"""The scripted expert: it succeeds, smoothly, inside the limits, and reacts to what it sees."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_core.embodiment import JointLimits
from vla_core.embodiment.schema import Range
from vla_core.motion.measure import CommandMeter
from vla_core.motion.plan import MotionPlan
from vla_sim.controllers.parameters import ControllersFile
from vla_sim.errors import SimulationError
from vla_sim.expert import ExpertSettings, PickPlaceExpert
from vla_sim.expert.cartesian_path import CartesianPath, Movement
from vla_sim.expert.inverse_kinematics import InverseKinematics
from vla_sim.models import RobotModel
from vla_sim.mujoco_plant import MujocoPlant
from vla_sim.plant import Pose
from vla_sim.robot import SimulatedRobot
from vla_sim.rollout import Rollout, roll_out
from vla_sim.tasks.pick_place import CUBE, PickPlace

ARM = "fr3_arm_controller"


@pytest.fixture(scope="module")
def expert(fr3: RobotModel, limits: JointLimits, task: PickPlace) -> PickPlaceExpert:
    return PickPlaceExpert(fr3, limits, task.settings)


@pytest.fixture(scope="module")
def drifting(fr3: RobotModel, limits: JointLimits, task: PickPlace) -> PickPlaceExpert:
    return PickPlaceExpert(fr3, limits, task.settings, ExpertSettings(disturbance=1.0))


def check_quality(rollout: Rollout, limits: JointLimits) -> None:
    meter = CommandMeter(limits, 0.001)
    meter.add(rollout.command)
    found = meter.quality
    assert found.violations == 0
    assert found.velocity_use < 0.6
    assert found.acceleration_use < 0.6
    assert found.jerk_use * limits.jerk.max() < 2000.0


@pytest.mark.parametrize("seed", [1000, 1001, 1002])
def test_it_succeeds_well_inside_the_limits_without_standing_about(
    robot: SimulatedRobot, expert: PickPlaceExpert, task: PickPlace, limits: JointLimits, seed: int
) -> None:
    rollout = roll_out(robot, ARM, expert, task, seed)
    assert rollout.success
    assert rollout.done
    assert 5.0 < rollout.duration_s < 9.0
    assert rollout.standstill_s < 0.6  # the fingers need 0.4 s to close on the cube
    check_quality(rollout, limits)


@pytest.mark.parametrize("seed", [2000, 2001])
def test_it_recovers_from_drifting_off_its_way(
    robot: SimulatedRobot, drifting: PickPlaceExpert, task: PickPlace, limits: JointLimits, seed: int
) -> None:
    rollout = roll_out(robot, ARM, drifting, task, seed)
    assert rollout.success
    check_quality(rollout, limits)


def test_a_turned_cube_is_grasped_across_its_sides(
    fr3: RobotModel, limits: JointLimits, task: PickPlace, plant: MujocoPlant, robot: SimulatedRobot
) -> None:
    cube = dataclasses.replace(task.settings.cube, yaw=Range(0.5, 0.6))
    turned = PickPlace(dataclasses.replace(task.settings, cube=cube))
    rollout = roll_out(robot, ARM, PickPlaceExpert(fr3, limits, turned.settings), turned, 7)
    assert rollout.success


def test_the_same_seed_gives_the_same_commands(
    robot: SimulatedRobot, drifting: PickPlaceExpert, task: PickPlace
) -> None:
    first, again = (roll_out(robot, ARM, drifting, task, 5, time_limit_s=2.0) for _ in range(2))
    assert (first.command == again.command).all()


class Disturbed:
    """A plant whose cube is put elsewhere at some step."""

    def __init__(self, plant: MujocoPlant, at_step: int, by: tuple[float, float]) -> None:
        self._plant, self._at_step, self._by = plant, at_step, by
        self._steps = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._plant, name)

    def reset(self, world: object) -> None:
        self._steps = 0
        self._plant.reset(world)  # type: ignore[arg-type]

    def step(self, *command: object) -> None:
        self._steps += 1
        if self._steps == self._at_step:
            x, y, _ = self._plant.object_poses()[CUBE].position
            self._plant._place(CUBE, Pose.at(x + self._by[0], y + self._by[1], 0.02))
        self._plant.step(*command)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("at_step", "by", "grasps"),
    [(600, (0.0, 0.08), 1), (1200, (-0.05, -0.08), 1), (1700, (0.01, 0.0), 1), (2600, (0.0, 0.1), 2)],
    ids=["on the way", "low above it", "a little, at the grasp", "out of the closed hand"],
)
def test_it_follows_a_cube_that_is_moved(
    plant: MujocoPlant,
    controllers: ControllersFile,
    expert: PickPlaceExpert,
    task: PickPlace,
    limits: JointLimits,
    at_step: int,
    by: tuple[float, float],
    grasps: int,
) -> None:
    robot = SimulatedRobot(Disturbed(plant, at_step, by), controllers, task.world(0), 1_000_000_000)  # type: ignore[arg-type]
    robot.start(ARM)
    rollout = roll_out(robot, ARM, expert, task, 3)
    assert rollout.success
    assert rollout.gripper == (0.04, *(0.0, 0.04) * grasps)
    meter = CommandMeter(limits, 0.001)
    meter.add(rollout.command)
    assert meter.quality.violations == 0


def test_it_reopens_the_hand_that_closed_on_nothing(expert: PickPlaceExpert, task: PickPlace) -> None:
    world = task.world(11)
    expert.reset(0, world.arm_position, 0)
    position, finger, grippers = world.arm_position, 0.04, []
    for cycle in range(150):
        command = expert.act(cycle * 33_000_000, position, finger, world.objects)
        position = command.plan.state_at((cycle + 1) * 33_000_000).position
        finger += np.clip(command.gripper - finger, -0.0017, 0.0017)  # nothing between the fingers
        if not grippers or command.gripper != grippers[-1]:
            grippers.append(command.gripper)
    assert grippers[:3] == [0.04, 0.0, 0.04]


def test_a_cube_out_of_reach_is_a_clear_error(expert: PickPlaceExpert, task: PickPlace) -> None:
    world = task.world(0)
    far = dict(world.objects) | {CUBE: Pose.at(1.2, 0.0, 0.02)}
    expert.reset(0, world.arm_position, 0)

    def approach() -> None:
        for cycle in range(100):
            expert.act(cycle * 33_000_000, world.arm_position, 0.04, far)

    with pytest.raises(SimulationError, match="the arm cannot reach"):
        approach()


def test_plans_agree_where_they_overlap_and_end_at_rest(drifting: PickPlaceExpert, task: PickPlace) -> None:
    world = task.world(2)
    drifting.reset(0, world.arm_position, 2)
    before: MotionPlan | None = None
    for cycle in range(60):
        now_ns = cycle * 33_000_000
        command = drifting.act(now_ns, world.arm_position, 0.04, world.objects)
        plan = command.plan
        assert not plan.velocities[-1].any()
        assert not plan.accelerations[-1].any()
        if before is not None:
            for ahead_ns in range(0, 60_000_000, 7_000_000):
                one, other = before.state_at(now_ns + ahead_ns), plan.state_at(now_ns + ahead_ns)
                assert one.position == pytest.approx(other.position, abs=1e-7)
                assert one.velocity == pytest.approx(other.velocity, abs=1e-5)
        before = plan
    assert command.gripper == 0.04


@settings(max_examples=20, deadline=None)
@given(st.floats(0.36, 0.62), st.floats(-0.25, 0.25), st.floats(0.02, 0.3), st.floats(-0.7, 0.7))
def test_inverse_kinematics_reach_the_pose_from_anywhere_with_one_answer(
    kinematics: InverseKinematics, home: np.ndarray, x: float, y: float, z: float, yaw: float
) -> None:
    target = np.array([x, y, z, yaw])
    found = kinematics.solve(target, home)
    assert kinematics.tcp(found) == pytest.approx(target, abs=1e-3)
    nearby = kinematics.solve(target + np.array([0.03, -0.02, 0.03, 0.1]), found)
    assert kinematics.solve(target, nearby) == pytest.approx(found, abs=1e-6)


@pytest.fixture(scope="module")
def home(task: PickPlace) -> np.ndarray:
    return np.array(task.settings.home.arm_position)


@pytest.fixture(scope="module")
def kinematics(fr3: RobotModel, home: np.ndarray) -> InverseKinematics:
    return InverseKinematics(fr3, home)


@given(
    st.lists(
        st.tuples(st.integers(0, 2000), st.integers(300, 2000), st.floats(-0.3, 0.3)),
        min_size=1,
        max_size=5,
    )
)
def test_a_path_of_any_movements_is_smooth_and_ends_where_they_add_up_to(
    movements: list[tuple[int, int, float]],
) -> None:
    path = CartesianPath(np.zeros(4))
    for start_ms, duration_ms, distance in movements:
        path.add(Movement(start_ms * 1_000_000, duration_ms * 1_000_000, np.full(4, distance)))
    times = range(0, 4_100_000_000, 5_000_000)
    points = np.array([path.at(time_ns) for time_ns in times])
    assert points[-1] == pytest.approx(path.end)
    assert path.at(path.end_ns) == pytest.approx(path.end)
    sharpest = sum(60.0 * abs(distance) / (duration_ms * 1e-3) ** 3 for _, duration_ms, distance in movements)
    assert np.abs(np.diff(points, n=3, axis=0)).max() / 0.005**3 <= sharpest * 1.01 + 1e-3
