"""Chunks as policies output them become chunks in the axes of the robot, at their times."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.spatial.transform import Rotation

from vla_core.action_chunk import ActionChunk
from vla_core.action_spaces import CommandedHistory, command_space
from vla_core.action_spaces.cartesian import pose_at
from vla_core.embodiment import Embodiment, load_embodiment
from vla_core.embodiment.schema import ArmController, Field, Joint, Kinematics, Range, Stream
from vla_core.embodiment.spaces import ActionSpace, Box, CartesianLimit, CartesianLimits, Representation
from vla_core.errors import ChunkError, EmbodimentMismatch
from vla_core.motion.plan import MotionPlan
from vla_core.motion.polynomial import State
from vla_core.rotations import SIZES, from_matrix, to_matrix

ROOT = Path(__file__).parents[3]
MODEL = str(ROOT / "src" / "vla_sim" / "vla_sim" / "models" / "fr3.xml")
FR3 = load_embodiment(ROOT / "config" / "embodiments" / "fr3.yaml")
ARM = dataclasses.replace(FR3, kinematics=Kinematics(MODEL, "tcp"))
HOME = np.array([0.0, -np.pi / 4, 0.0, -3 * np.pi / 4, 0.0, np.pi / 2, np.pi / 4])
STEP, START = 40_000_000, 5_000_000_000
ANGLES = ("axis_angle", "rpy", "euler_xyz")
CARTESIAN = CartesianLimits(CartesianLimit(1.0, 4.0, 100.0), CartesianLimit(2.0, 8.0, 200.0))


def posed(kind: str, rotation: Representation, robot: Embodiment = ARM, **conventions: str) -> Embodiment:
    """A robot whose actions are poses of its tool, or changes of poses, and its gripper."""
    turned = tuple(f"r{index}" for index in range(SIZES[rotation]))
    fields = {
        "position": Field("pose.position", "m", ("x", "y", "z")),
        "rotation": Field("pose.orientation", "rad" if rotation in ANGLES else "1", turned),
    }
    tool = Stream("/tool", "geometry_msgs/msg/PoseStamped", 30.0, robot.streams["arm_command"].align, fields)
    names = ("tool.position", "tool.rotation", "gripper_command.position")
    action = ActionSpace(kind, names, rotation, **conventions)  # type: ignore[arg-type]
    return dataclasses.replace(robot, streams={**robot.streams, "tool": tool}, action=action)


def base(kind: str, since: str = "observation") -> Embodiment:
    """A base that is driven by two velocities."""
    units = ("m/s", "rad/s") if kind == "base_velocity" else ("m", "m")
    names = ("linear_x", "angular_z") if kind == "base_velocity" else ("x", "y")
    fields = {name: Field(name, unit, (name,)) for name, unit in zip(names, units, strict=True)}  # type: ignore[arg-type]
    stream = Stream("/base", "geometry_msgs/msg/TwistStamped", 10.0, FR3.streams["arm_command"].align, fields)
    joints = tuple(Joint(name, Range(-1e6, 1e6), 1.0, 2.0, 20.0) for name in ("linear_x", "angular_z"))
    action = ActionSpace(kind, tuple(f"base.{name}" for name in names), since=since)  # type: ignore[arg-type]
    return dataclasses.replace(
        FR3,
        joints=joints,
        streams={"base": stream},
        proprioception={},
        gripper=None,
        action=action,
        arm=ArmController("base", "base", "base_velocity"),
    )


def chunk_of(robot: Embodiment, actions: np.ndarray) -> ActionChunk:
    return ActionChunk(np.asarray(actions, dtype=float), robot.action_names, START, STEP, START, sequence=7)


def home(time_ns: int) -> np.ndarray:
    return HOME


# -- joints --------------------------------------------------------------------------------------------------------------


def test_positions_of_joints_are_taken_as_they_are() -> None:
    chunk = chunk_of(FR3, np.ones((3, 8)))
    assert command_space(FR3).resolve(chunk, home).chunk is chunk


def test_changes_since_the_one_before_add_up_during_their_steps() -> None:
    robot = dataclasses.replace(FR3, action=dataclasses.replace(FR3.action, kind="joint_delta"))
    changes = np.random.default_rng(0).normal(size=(4, 8))
    found = command_space(robot).resolve(chunk_of(robot, changes), home).chunk
    assert found.names == FR3.action_names
    assert (found.start_ns, found.step_ns, found.end_ns) == (START, STEP, START + 4 * STEP)
    np.testing.assert_allclose(found.actions[0, :7], HOME)
    np.testing.assert_allclose(np.diff(found.actions[:, :7], axis=0), changes[:, :7])
    np.testing.assert_array_equal(found.actions[:, 7], changes[[0, 0, 1, 2, 3], 7])


def test_changes_since_the_observation_are_offsets_at_their_times() -> None:
    robot = dataclasses.replace(FR3, action=dataclasses.replace(FR3.action, kind="joint_delta", since="observation"))
    changes = np.random.default_rng(0).normal(size=(4, 8))
    found = command_space(robot).resolve(chunk_of(robot, changes), home).chunk
    np.testing.assert_allclose(found.actions[:, :7], HOME + changes[:, :7])
    np.testing.assert_array_equal(found.actions[:, 7], changes[:, 7])


def test_a_delta_policy_that_is_asked_again_and_again_does_not_gain_on_itself() -> None:
    """Changes of a constant speed, from chunks that overlap, are executed at that speed."""
    robot = dataclasses.replace(FR3, action=dataclasses.replace(FR3.action, kind="joint_delta"))
    space = command_space(robot)
    here = HOME
    for _ in range(10):
        found = space.resolve(chunk_of(robot, np.full((8, 8), 0.01)), lambda _time, here=here: here).chunk
        here = found.actions[4, :7]  # replaced after four steps
    np.testing.assert_allclose(here - HOME, 0.4)


def test_the_commanded_positions_of_the_past_are_known() -> None:
    history = CommandedHistory(np.zeros(1), 0, 10)
    plan = MotionPlan.through([0, 1000], [State.at_rest(np.zeros(1)), State.at_rest(np.ones(1))])
    for time_ns in range(0, 500, 10):
        history.note(plan, time_ns)
    later = MotionPlan.at_rest(np.ones(1), 0)  # what has passed is not in the plan any more
    np.testing.assert_allclose(history.at(300, later), plan.state_at(300).position)
    np.testing.assert_allclose(history.at(305, later), plan.state_at(305).position, atol=1e-4)
    np.testing.assert_allclose(history.at(700, later), 1.0)
    np.testing.assert_allclose(history.at(-5, later), 0.0)


# -- poses ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def poses() -> tuple[np.ndarray, np.ndarray]:
    """Six poses near to that of HOME: places (6, 3), turns (6, 3, 3); the first one is that of HOME."""
    pytest.importorskip("mink", reason="needs MuJoCo and mink: vla_core[kinematics]")
    from vla_core.kinematics import KinematicModel

    place, turn = KinematicModel(ARM).tcp_pose(HOME)
    along = np.linspace(0.0, 1.0, 6)[:, None]
    return place + along * [0.05, -0.08, 0.04], Rotation.from_rotvec(along * [0.2, 0.1, -0.3]).as_matrix() @ turn


def reached(robot: Embodiment, chunk: ActionChunk) -> tuple[np.ndarray, np.ndarray]:
    """Where the tool is at the resolved chunk's joint positions."""
    from vla_core.kinematics import KinematicModel

    model = KinematicModel(ARM)
    found = [model.tcp_pose(action[:7]) for action in chunk.actions]
    return np.array([place for place, _ in found]), np.array([turn for _, turn in found])


@pytest.mark.parametrize("rotation", list(SIZES))
def test_poses_in_every_representation_become_joint_positions_that_reach_them(rotation, poses) -> None:
    robot = posed("tcp_pose", rotation)
    places, turns = poses
    actions = np.concatenate([places, from_matrix(turns, rotation), np.linspace(0.0, 0.04, 6)[:, None]], axis=1)
    found = command_space(robot).resolve(chunk_of(robot, actions), home)
    assert not found.shortened
    assert found.chunk.names == FR3.action_names
    assert (found.chunk.start_ns, found.chunk.step_ns) == (START, STEP)
    np.testing.assert_allclose(reached(robot, found.chunk)[0], places, atol=3e-4)
    np.testing.assert_allclose(reached(robot, found.chunk)[1], turns, atol=3e-3)
    np.testing.assert_array_equal(found.chunk.actions[:, 7], actions[:, -1])


@pytest.mark.parametrize("frame", ["base", "tool"])
@pytest.mark.parametrize("since", ["previous", "observation"])
def test_changes_of_poses_are_those_of_the_convention(frame, since, poses) -> None:
    """The changes are made here by their definition, and lead through the poses."""
    robot = posed("tcp_delta", "axis_angle", frame=frame, since=since)
    places, turns = poses
    before = (places[:-1], turns[:-1]) if since == "previous" else (places[:1].repeat(5, 0), turns[:1].repeat(5, 0))
    moved = places[1:] - before[0]
    if frame == "tool":
        moved = np.einsum("kji,kj->ki", before[1], moved)
        changed = np.einsum("kji,kjl->kil", before[1], turns[1:])
    else:
        changed = np.einsum("kij,klj->kil", turns[1:], before[1])
    actions = np.concatenate([moved, from_matrix(changed, "axis_angle"), np.zeros((5, 1))], axis=1)
    found = command_space(robot).resolve(chunk_of(robot, actions), home).chunk
    first = 0 if since == "previous" else 1
    assert len(found.actions) == 6 - first
    np.testing.assert_allclose(reached(robot, found)[0], places[first:], atol=3e-4)
    np.testing.assert_allclose(reached(robot, found)[1], turns[first:], atol=3e-3)


def test_a_pose_out_of_reach_ends_the_chunk_and_is_named(poses) -> None:
    robot = posed("tcp_pose", "axis_angle")
    places, turns = (part.copy() for part in poses)
    places[4:] += [1.0, 0.0, 0.0]
    actions = np.concatenate([places, from_matrix(turns, "axis_angle"), np.zeros((6, 1))], axis=1)
    found = command_space(robot).resolve(chunk_of(robot, actions), home)
    assert len(found.chunk.actions) == 4
    assert "chunk 7: the pose of action 4 at [1.3" in found.shortened
    assert "mm and" in found.shortened
    with pytest.raises(ChunkError, match=r"chunk 7: the pose of action 0 at .* cannot be reached: nearest is \d+ mm"):
        command_space(robot).resolve(chunk_of(robot, actions[4:]), home)


@pytest.mark.parametrize("rotation", ["quaternion_xyzw", "rotation_6d_rows", "matrix"])
def test_numbers_that_are_no_rotation_are_refused(rotation, poses) -> None:
    robot = posed("tcp_pose", rotation)
    actions = np.concatenate([poses[0], from_matrix(poses[1], rotation), np.zeros((6, 1))], axis=1)
    actions[2, 3:-1] = 0.0
    with pytest.raises(ChunkError, match=f"chunk 7: the rotation of action 2: expected a {rotation}, found"):
        command_space(robot).resolve(chunk_of(robot, actions), home)


def test_what_does_not_fit_a_robot_of_poses_is_named() -> None:
    robot = posed("tcp_pose", "axis_angle")
    wrong = dataclasses.replace(robot, action=dataclasses.replace(robot.action, rotation="quaternion_xyzw"))
    with pytest.raises(EmbodimentMismatch, match="expected 8 dimensions"):
        command_space(wrong)
    wrong = posed("tcp_pose", "quaternion_xyzw")
    wrong = dataclasses.replace(
        wrong, streams={**wrong.streams, "tool": posed("tcp_pose", "axis_angle").streams["tool"]}
    )
    with pytest.raises(EmbodimentMismatch):
        command_space(wrong)
    without = dataclasses.replace(robot, kinematics=None)
    with pytest.raises(EmbodimentMismatch, match="'fr3': kinematics: missing"):
        command_space(without)
    wrong = dataclasses.replace(FR3, arm=ArmController("arm", "fr3", "base_velocity"))
    with pytest.raises(EmbodimentMismatch, match=r"arm.kind: expected 'joint_trajectory', .* found 'base_velocity'"):
        command_space(wrong)


# -- a Cartesian controller ----------------------------------------------------------------------------------------------


def cartesian(rotation: Representation = "quaternion_xyzw", kind: str = "tcp_pose") -> Embodiment:
    arm = ArmController("cartesian_pose", "fr3", "cartesian_pose")
    robot = dataclasses.replace(ARM, arm=arm, cartesian=CARTESIAN)
    return posed(kind, rotation, robot)


def test_poses_for_a_cartesian_controller_are_positions_of_six_axes(poses) -> None:
    robot = cartesian()
    space = command_space(robot)
    begun = space.begin(HOME)
    places, turns = poses
    np.testing.assert_allclose(begun, [*places[0], 0.0, 0.0, 0.0])
    actions = np.concatenate([places, from_matrix(turns, "quaternion_xyzw"), np.zeros((6, 1))], axis=1)
    found = space.resolve(chunk_of(robot, actions), lambda _: begun).chunk
    assert found.names == (*space.names, "gripper")
    for axes, place, turn in zip(found.actions, places, turns, strict=True):
        there = pose_at(axes[:6], space.origin)  # type: ignore[attr-defined]
        np.testing.assert_allclose(there[0], place)
        np.testing.assert_allclose(to_matrix(there[1], "quaternion_xyzw"), turn, atol=1e-9)


def test_a_tool_never_turns_faster_than_its_rotation_vector_changes() -> None:
    random = np.random.default_rng(1)
    for _ in range(200):
        vector, rate = random.normal(size=3), random.normal(size=3)
        after = Rotation.from_rotvec(vector + 1e-6 * rate)
        turned = (after * Rotation.from_rotvec(vector).inv()).magnitude() / 1e-6
        assert turned <= np.linalg.norm(rate) * (1 + 1e-4)


def test_the_workspace_of_a_cartesian_controller_bounds_its_axes(poses) -> None:
    boxed = dataclasses.replace(
        cartesian(), kinematics=Kinematics(MODEL, "tcp", workspace=Box((0.1, -0.2, 0.0), (0.6, 0.2, 0.7)))
    )
    np.testing.assert_array_equal(command_space(boxed).limits.position_max[:3], [0.6, 0.2, 0.7])


def test_a_pose_turned_too_far_from_that_at_arming_ends_the_chunk(poses) -> None:
    robot = cartesian("axis_angle", "tcp_delta")
    space = command_space(robot)
    begun = space.begin(HOME)
    actions = np.tile([0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.0], (8, 1))
    found = space.resolve(chunk_of(robot, actions), lambda _: begun)
    assert len(found.chunk.actions) == 6
    assert "turned by 3.00 rad from that at arming" in found.shortened


# -- bases ---------------------------------------------------------------------------------------------------------------


def driven(chunk: ActionChunk) -> np.ndarray:
    """Where a base comes to that drives with a resolved chunk's velocities, at each action (k, 2) [m]."""
    from scipy.interpolate import CubicSpline

    seconds = np.arange(len(chunk.actions)) * (chunk.step_ns * 1e-9)
    curve = CubicSpline(seconds, chunk.actions, bc_type="natural")
    found = solve_ivp(
        lambda t, pose: [curve(t)[0] * np.cos(pose[2]), curve(t)[0] * np.sin(pose[2]), curve(t)[1]],
        (0.0, seconds[-1]),
        [0.0, 0.0, 0.0],
        t_eval=seconds,
        rtol=1e-8,
    )
    return np.asarray(found.y[:2].T)


def test_velocities_of_a_base_are_taken_as_they_are() -> None:
    robot = base("base_velocity")
    chunk = chunk_of(robot, np.ones((3, 2)))
    space = command_space(robot)
    assert space.resolve(chunk, home).chunk is chunk
    assert space.commands == "velocity"


@pytest.mark.parametrize("since", ["previous", "observation"])
@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_a_base_that_drives_with_the_velocities_of_waypoints_comes_by_them(since, direction) -> None:
    robot = base("base_waypoints", since)
    along = np.arange(1, 13) * 0.04
    places = np.stack([direction * 1.0 * np.sin(along), 1.0 - np.cos(along)], axis=1)  # an arc of 1 m of radius
    actions = places if since == "observation" else np.diff(places, axis=0, prepend=np.zeros((1, 2)))
    found = command_space(robot).resolve(chunk_of(robot, actions), home).chunk
    assert found.names == ("linear_x", "angular_z")
    assert len(found.actions) == 13
    np.testing.assert_allclose(driven(found)[1:], places, atol=0.01)


def test_waypoints_that_stay_are_a_base_that_stands() -> None:
    robot = base("base_waypoints")
    found = command_space(robot).resolve(chunk_of(robot, np.zeros((5, 2))), home).chunk
    np.testing.assert_array_equal(found.actions, 0.0)


def test_a_base_is_driven_by_parts_of_a_twist() -> None:
    robot = base("base_velocity")
    wrong = dataclasses.replace(robot, joints=FR3.joints[:2])
    with pytest.raises(EmbodimentMismatch, match="joints of a base: expected some of"):
        command_space(wrong)
    wrong = dataclasses.replace(robot, joints=robot.joints[::-1])
    with pytest.raises(EmbodimentMismatch, match=r"expected the elements \['angular_z', 'linear_x'\]"):
        command_space(wrong)
