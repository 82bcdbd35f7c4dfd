"""Transforms of vectors undo each other, and give the numbers of formulas that are written here anew."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vla_core import config as configuration
from vla_core.errors import ConfigError
from vla_core.rotations import SIZES, from_matrix, to_matrix
from vla_policies.spec import PolicySpec
from vla_policies.transforms import Chain
from vla_policies.transforms.grippers import AlohaGripperAction, AlohaGripperState, GripperRange
from vla_policies.transforms.padding import Padding
from vla_policies.transforms.poses import PoseDelta
from vla_policies.transforms.reference import StepDeltas
from vla_policies.transforms.rotations import RotationChange
from vla_policies.transforms.signs import Signs

NO_ANCHOR = np.zeros((2, 0))
numbers = st.floats(-3.0, 3.0)
shares = st.floats(0.0, 1.0)
few = settings(max_examples=25, deadline=None)


def vectors(dims: int, elements: st.SearchStrategy[float] = numbers) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.float64, (2, 5, dims), elements=elements)


@few
@given(vectors(8), st.booleans())
def test_gripper_ranges(values, closed_is_one) -> None:
    ends = (1.0, 0.0) if closed_is_one else (-1.0, 1.0)
    gripper = GripperRange("gripper_range", 7, 0.0, 0.04, *ends)
    there = gripper.forward(values, NO_ANCHOR)
    np.testing.assert_allclose(there[..., 7], ends[0] + values[..., 7] / 0.04 * (ends[1] - ends[0]), atol=1e-9)
    assert (there[..., :7] == values[..., :7]).all()
    np.testing.assert_allclose(gripper.inverse(there, NO_ANCHOR), values, atol=1e-12)


def test_a_gripper_that_is_decided_is_open_or_closed() -> None:
    """OpenVLA-OFT on LIBERO: 1 is open in the data, and the robot's command is -1 for open, 1 for closed."""
    libero = GripperRange("gripper_range", 0, closed=1.0, open=-1.0, to_closed=0.0, to_open=1.0, decide=True)
    outputs = np.array([[[0.0], [0.4], [0.6], [1.3]]])
    assert libero.inverse(outputs, NO_ANCHOR)[0, :, 0].tolist() == [1.0, 1.0, -1.0, -1.0]
    commands = np.array([[[-1.0], [1.0]]])
    assert (libero.inverse(libero.forward(commands, NO_ANCHOR), NO_ANCHOR) == commands).all()


@few
@given(vectors(14, shares))
def test_grippers_of_aloha(values) -> None:
    for gripper in (AlohaGripperState("aloha_gripper_state"), AlohaGripperAction("aloha_gripper_action")):
        there = gripper.forward(values, NO_ANCHOR)
        assert (np.delete(there, (6, 13), axis=-1) == np.delete(values, (6, 13), axis=-1)).all()
        np.testing.assert_allclose(gripper.inverse(there, NO_ANCHOR), values, atol=1e-9)


def test_grippers_of_aloha_have_openpis_numbers() -> None:
    half = np.full((1, 14), 0.5)
    width = 0.01844 + 0.5 * (0.05800 - 0.01844)
    angle = math.asin((0.022**2 + width**2 - 0.036**2) / (2 * 0.022 * width))
    state = AlohaGripperState("aloha_gripper_state").forward(half, NO_ANCHOR)
    assert state[0, [6, 13]] == pytest.approx([(angle - 0.5476) / (1.6296 - 0.5476)] * 2)
    action = AlohaGripperAction("aloha_gripper_action").inverse(half, NO_ANCHOR)
    assert action[0, 6] == pytest.approx((0.5 + 0.5476 + 0.6213) / (1.4910 + 0.6213))


@few
@given(vectors(3), arrays(np.float64, (2, 3), elements=numbers))
def test_signs_padding_and_changes_from_step_to_step(values, qpos) -> None:
    signs = Signs("signs", (1, -1, -1))
    assert (signs.forward(values, qpos) == values * [1, -1, -1]).all()
    assert (signs.inverse(signs.forward(values, qpos), qpos) == values).all()
    padding = Padding("padding", 3, 7)
    assert (padding.forward(values, qpos)[..., 3:] == 0).all()
    assert (padding.inverse(padding.forward(values, qpos), qpos) == values).all()
    deltas = StepDeltas("step_deltas", (True, True, False))
    there = deltas.forward(values, qpos)
    np.testing.assert_allclose(there[:, 0, :2], values[:, 0, :2] - qpos[:, :2])
    np.testing.assert_allclose(there[:, 3, :2], values[:, 3, :2] - values[:, 2, :2])
    assert (there[..., 2] == values[..., 2]).all()
    np.testing.assert_allclose(deltas.inverse(there, qpos), values, atol=1e-12)


# ---------------------------------------------------------------- rotations


def about(axis: int, angle: float) -> np.ndarray:
    """Turns by an angle about x, y or z."""
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[[first, second], [first, second]] = math.cos(angle)
    matrix[second, first], matrix[first, second] = math.sin(angle), -math.sin(angle)
    return matrix


def rodrigues(rotvec: np.ndarray) -> np.ndarray:
    angle = float(np.linalg.norm(rotvec))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = rotvec / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross


def of_quaternion(w: float, x: float, y: float, z: float) -> np.ndarray:
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


angles = st.floats(-1.4, 1.4)
three_angles = st.tuples(angles, angles, angles)


@few
@given(three_angles)
def test_rotations_are_those_of_the_formulas(three) -> None:
    roll, pitch, yaw = three
    expected = about(2, yaw) @ about(1, pitch) @ about(0, roll)
    np.testing.assert_allclose(to_matrix(np.array(three), "rpy"), expected, atol=1e-12)
    moving = about(0, roll) @ about(1, pitch) @ about(2, yaw)
    np.testing.assert_allclose(to_matrix(np.array(three), "euler_xyz"), moving, atol=1e-12)
    np.testing.assert_allclose(to_matrix(np.array(three), "axis_angle"), rodrigues(np.array(three)), atol=1e-12)
    np.testing.assert_allclose(of_quaternion(*from_matrix(expected, "quaternion_wxyz")), expected, atol=1e-12)
    x, y, z, w = from_matrix(expected, "quaternion_xyzw")
    np.testing.assert_allclose(of_quaternion(w, x, y, z), expected, atol=1e-12)
    assert w >= 0
    np.testing.assert_array_equal(from_matrix(expected, "rotation_6d_rows"), expected[:2].flatten())
    np.testing.assert_array_equal(from_matrix(expected, "rotation_6d_columns"), expected[:, :2].T.flatten())
    np.testing.assert_array_equal(from_matrix(expected, "matrix"), expected.flatten())


@pytest.mark.parametrize("network", SIZES)
@pytest.mark.parametrize("robot", SIZES)
@settings(max_examples=8, deadline=None)
@given(three=three_angles)
def test_every_representation_comes_back_from_every_other(robot, network, three) -> None:
    rotation = from_matrix(about(2, three[2]) @ about(1, three[1]) @ about(0, three[0]), robot)
    values = np.concatenate([[0.1, 0.2], rotation, [0.3]])[None]
    change = RotationChange("rotation", 2, robot, network)
    there = change.forward(values, NO_ANCHOR)
    assert there.shape[-1] == change.size(values.shape[-1]) == 3 + SIZES[network]
    assert (there[0, :2].tolist(), there[0, -1]) == ([0.1, 0.2], 0.3)
    np.testing.assert_allclose(change.inverse(there, NO_ANCHOR), values, atol=1e-7)


def test_six_numbers_that_are_no_rotation_become_the_one_of_gram_and_schmidt() -> None:
    matrix = to_matrix(np.array([2.0, 0.0, 0.0, 1.0, 3.0, 0.0]), "rotation_6d_columns")
    np.testing.assert_allclose(matrix, np.eye(3), atol=1e-12)


# ---------------------------------------------------------------- poses


@pytest.mark.parametrize("frame", ["base", "tool"])
@pytest.mark.parametrize("since", ["observation", "previous"])
@few
@given(poses=vectors(7, st.floats(-1.0, 1.0)), at=arrays(np.float64, (2, 7), elements=st.floats(-1.0, 1.0)))
def test_changes_of_a_pose(frame, since, poses, at) -> None:
    delta = PoseDelta("pose_delta", frame, since)
    changes = delta.forward(poses, at)
    for k in (0, 3):
        before = at if since == "observation" or k == 0 else poses[:, k - 1]
        for pose, start, change in zip(poses[:, k], before, changes[:, k], strict=True):
            moved, first, then = pose[:3] - start[:3], rodrigues(start[3:6]), rodrigues(pose[3:6])
            turned = then @ first.T if frame == "base" else first.T @ then
            np.testing.assert_allclose(change[:3], moved if frame == "base" else first.T @ moved, atol=1e-9)
            np.testing.assert_allclose(rodrigues(change[3:6]), turned, atol=1e-9)
            assert change[6] == pose[6]  # the gripper
    np.testing.assert_allclose(delta.inverse(changes, at), poses, atol=1e-7)


# ---------------------------------------------------------------- one after the other

ALOHA = [
    {"kind": "signs", "signs": [1, -1, -1, 1, 1, 1, 1] * 2},
    {"kind": "aloha_gripper_state"},
    {"kind": "aloha_gripper_action"},
]


def spec_of(transforms: object) -> PolicySpec:
    data = {"cameras": {}, "proprioception": ["qpos"], "action_horizon": 5, "transforms": transforms}
    return configuration.from_mapping(PolicySpec, data, "test")


def test_a_list_in_a_file_says_which_run_in_which_order() -> None:
    spec = spec_of([*ALOHA, {"kind": "padding", "dims": 14, "padded": 32}])
    assert spec_of(configuration.to_mapping(spec)["transforms"]) == spec
    chain = Chain(spec.transforms)
    assert (chain.size("qpos", 14), chain.size("action", 14), chain.size("qvel", 14)) == (32, 32, 14)
    qpos = np.full((1, 14), 0.25)
    state = chain.state("qpos", qpos)
    assert state[0, [0, 1, 7, 8]].tolist() == [0.25, -0.25, 0.25, -0.25]
    expected = AlohaGripperState("aloha_gripper_state").forward(qpos, NO_ANCHOR)
    assert state[0, 6] == expected[0, 6]
    actions = np.random.default_rng(0).uniform(0.0, 1.0, (1, 5, 14))
    there = chain.actions(actions, qpos)
    assert there.shape == (1, 5, 32)
    np.testing.assert_allclose(chain.restored(there, qpos), actions, atol=1e-12)


@few
@given(poses=vectors(7, st.floats(-1.0, 1.0)), at=arrays(np.float64, (2, 7), elements=st.floats(-1.0, 1.0)))
def test_a_change_counts_from_the_position_as_it_is_in_its_place_of_the_list(poses, at) -> None:
    spec = spec_of(
        [
            {"kind": "gripper_range", "index": 6, "closed": -1.0, "open": 1.0},
            {"kind": "rotation", "start": 3, "robot": "axis_angle", "network": "rotation_6d_rows"},
            {"kind": "pose_delta", "frame": "tool", "rotation": "rotation_6d_rows", "change": "rpy"},
        ]
    )
    chain = Chain(spec.transforms)
    there = chain.actions(poses, at)
    plain = PoseDelta("pose_delta", "tool", change="rpy").forward(poses, at)
    np.testing.assert_allclose(there[..., :6], plain[..., :6], atol=1e-7)
    np.testing.assert_allclose(chain.restored(there, at), poses, atol=1e-7)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"kind": "magic"}, "expected .*kind|'magic'"),
        ({"kind": "signs", "signs": [2]}, "signs"),
        ({"kind": "gripper_range", "index": 0, "closed": 1.0, "open": 1.0}, "two positions that differ"),
        ({"kind": "padding", "dims": 8, "padded": 4}, "expected at least 8 dimensions"),
        ({"kind": "signs", "signs": [1], "colour": "red"}, "colour"),
    ],
)
def test_entries_that_are_wrong_are_refused(entry, message) -> None:
    with pytest.raises(ConfigError, match=message):
        spec_of([entry])


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (Signs("signs", (1, 1)), "signs: expected 2 dimensions, found 3"),
        (Padding("padding", 2, 4), "padding: expected 2 dimensions, found 3"),
        (StepDeltas("step_deltas", (True,)), "step_deltas: expected 1 dimensions, found 3"),
        (GripperRange("gripper_range", 7, 0.0, 1.0), "expected one of 3 dimensions, found number 7"),
        (AlohaGripperState("aloha_gripper_state"), "expected one of 3 dimensions, found number 13"),
        (RotationChange("rotation", 1, "axis_angle", "matrix"), "expected 3 numbers"),
        (PoseDelta("pose_delta", "base"), "expected at least 6 dimensions, found 3"),
    ],
)
def test_vectors_of_another_size_are_refused(transform, message) -> None:
    with pytest.raises(ValueError, match=message):
        Chain([transform]).size(transform.of[0], 3)
