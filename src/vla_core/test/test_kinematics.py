"""Where the tool is, which joint positions bring it to a pose, and where the arm may be."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mink", reason="needs MuJoCo and mink: vla_core[kinematics]")

import mujoco

from vla_core.embodiment import Embodiment, JointLimits, load_embodiment
from vla_core.embodiment.schema import Kinematics
from vla_core.embodiment.spaces import Box
from vla_core.errors import ConfigError, EmbodimentMismatch
from vla_core.kinematics import DifferentialIK, KinematicModel, model_file, region_of
from vla_core.kinematics.self_distance import _capsules, _pairs, self_distance
from vla_core.rotations import to_matrix

ROOT = Path(__file__).parents[3]
FR3 = dataclasses.replace(load_embodiment(ROOT / "config" / "embodiments" / "fr3.yaml"), kinematics=None)
MODEL = str(ROOT / "src" / "vla_sim" / "vla_sim" / "models" / "fr3.xml")
HOME = np.array([0.0, -np.pi / 4, 0.0, -3 * np.pi / 4, 0.0, np.pi / 2, np.pi / 4])
FAR = np.array([1.0, 0.0, 0.0])
LIMITS = JointLimits.of(FR3)


def with_kinematics(**settings: object) -> Embodiment:
    return dataclasses.replace(FR3, kinematics=Kinematics(MODEL, "tcp", **settings))  # type: ignore[arg-type]


ROBOT = with_kinematics()


@pytest.fixture(scope="module")
def model() -> KinematicModel:
    return KinematicModel(ROBOT)


def anywhere(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(LIMITS.position_min, LIMITS.position_max, (count, 7))


# -- the model -----------------------------------------------------------------------------------------------------------


def test_the_tool_is_where_mujoco_has_it(model: KinematicModel) -> None:
    compiled = mujoco.MjModel.from_xml_path(MODEL)
    data = mujoco.MjData(compiled)
    data.qpos[:7] = HOME
    mujoco.mj_forward(compiled, data)
    place, turn = model.tcp_pose(HOME)
    np.testing.assert_allclose(place, data.site("tcp").xpos, atol=1e-12)
    np.testing.assert_allclose(turn.ravel(), data.site("tcp").xmat, atol=1e-12)


def test_poses_are_told_in_the_frame_of_the_base() -> None:
    based = KinematicModel(with_kinematics(base="fr3_link1"))
    plain = KinematicModel(ROBOT)
    turned = HOME + np.array([0.7, 0, 0, 0, 0, 0, 0])  # link 1 turns with joint 1, so that nothing changes in its frame
    for found, expected in zip(based.tcp_pose(turned), based.tcp_pose(HOME), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_allclose(based.tcp_pose(HOME)[0] + [0.0, 0.0, 0.333], plain.tcp_pose(HOME)[0], atol=1e-12)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (
            Kinematics("fr3.xml", "tcp"),
            ConfigError,
            "expected an absolute path or package://PACKAGE/PATH, found 'fr3.xml'",
        ),
        (
            Kinematics("package://vla_core/no.xml", "tcp"),
            ConfigError,
            "expected the file 'package://vla_core/no.xml', found none",
        ),
        (Kinematics(MODEL, "tool"), EmbodimentMismatch, r"kinematics.tcp: expected 'tcp', 'world', .* found 'tool'"),
        (Kinematics(__file__, "tcp"), ConfigError, "cannot be read"),
        (None, EmbodimentMismatch, "'fr3': kinematics: missing"),
    ],
)
def test_what_is_wrong_with_a_model_is_said(settings: Kinematics | None, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        KinematicModel(dataclasses.replace(FR3, kinematics=settings))


def test_a_joint_that_the_model_lacks_is_named() -> None:
    joints = (*ROBOT.joints[:6], dataclasses.replace(ROBOT.joints[6], name="elbow"))
    with pytest.raises(EmbodimentMismatch, match="expected a joint 'elbow', found 'fr3_joint1', "):
        KinematicModel(dataclasses.replace(ROBOT, joints=joints))


def test_a_model_is_found_in_packages_of_python_and_of_ros(tmp_path, monkeypatch) -> None:
    assert model_file("package://vla_core/__init__.py").name == "__init__.py"
    described = tmp_path / "share" / "some_description" / "arm.urdf"
    described.parent.mkdir(parents=True)
    described.write_text("<robot/>")
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    assert model_file("package://some_description/arm.urdf") == described


# -- inverse kinematics --------------------------------------------------------------------------------------------------


def test_poses_along_a_path_are_reached_and_the_joints_move_smoothly(model: KinematicModel) -> None:
    inverse = DifferentialIK(model, LIMITS, HOME)
    place, turn = model.tcp_pose(HOME)
    here, found = HOME, []
    for phase in np.linspace(0.0, 2 * np.pi, 120):
        around = to_matrix(np.array([0.3 * np.sin(phase), 0.2 * np.sin(2 * phase), 0.4 * np.sin(phase)]), "axis_angle")
        aside = np.array([0.1 * np.sin(phase), 0.15 * (1 - np.cos(phase)), -0.1 * np.sin(phase)])
        reached = inverse.reach(place + aside, around @ turn, here)
        assert reached.distance < 5e-4
        assert reached.angle < 2e-3
        here = reached.position
        found.append(here)
    assert (np.array(found) >= LIMITS.position_min).all()
    assert (np.array(found) <= LIMITS.position_max).all()
    steps = np.diff(found, axis=0)
    assert np.abs(np.diff(steps, axis=0)).max() < 0.3 * np.abs(steps).max()


def test_the_distance_of_a_pose_out_of_reach_is_told_and_the_limits_are_kept(model: KinematicModel) -> None:
    inverse = DifferentialIK(model, LIMITS, HOME)
    place, turn = model.tcp_pose(HOME)
    reached = inverse.reach(place + FAR, turn, HOME)
    assert reached.distance > 0.3
    assert (reached.position >= LIMITS.position_min).all()
    assert (reached.position <= LIMITS.position_max).all()
    np.testing.assert_allclose(np.linalg.norm(model.tcp_pose(reached.position)[0] - place - FAR), reached.distance)


def test_on_the_way_out_of_reach_the_joints_do_not_run_away(model: KinematicModel) -> None:
    bent = np.array([0.0, 0.4, 0.0, -0.9, 0.0, 1.3, 0.8])
    inverse = DifferentialIK(model, LIMITS, bent)
    place, turn = model.tcp_pose(bent)
    here, reaching = bent, 0
    for out in np.arange(300) * 0.001:
        reached = inverse.reach(place + out * place / np.linalg.norm(place), turn, here)
        if reached.distance > 1e-3:
            break
        assert np.abs(reached.position - here).max() < 0.3
        here, reaching = reached.position, reaching + 1
    assert 10 < reaching < 300


# -- regions -------------------------------------------------------------------------------------------------------------


def test_the_self_distance_is_that_of_mujoco_where_links_come_near(model: KinematicModel) -> None:
    positions = anywhere(300, seed=3)
    least = 0.03
    found = self_distance(model, least)(positions)
    pairs = _pairs(model)
    for position, distance in zip(positions, found, strict=True):
        data = model.placed(position)
        true = min(mujoco.mj_geomDistance(model.mujoco, data, int(a), int(b), 1.0, None) for a, b in pairs)
        if true < least:
            np.testing.assert_allclose(distance, true, atol=1e-9)
        else:
            assert least <= distance <= true + 1e-9
    assert (found < 0.0).any()
    assert (found > 0.1).any()


def test_links_that_touch_by_construction_are_not_looked_at(model: KinematicModel) -> None:
    assert self_distance(model, 0.02)(HOME[None])[0] > 0.05
    assert (_capsules(model)[1] > 0.0).all()


def test_without_shapes_a_self_distance_is_refused(tmp_path) -> None:
    joints = "".join(
        f'<body><joint name="{name}"/><inertial mass="1" pos="0 0 0" diaginertia="1 1 1"/></body>'
        for name in FR3.joint_names
    )
    path = tmp_path / "bare.xml"
    path.write_text(f'<mujoco><worldbody><site name="tcp"/>{joints}</worldbody></mujoco>')
    bare = dataclasses.replace(FR3, kinematics=Kinematics(str(path), "tcp", self_distance=0.02))
    with pytest.raises(EmbodimentMismatch, match="expected a model with shapes"):
        region_of(bare)


def test_an_embodiment_says_which_region_it_has(model: KinematicModel) -> None:
    assert region_of(FR3) is None
    assert region_of(ROBOT) is None
    place = model.tcp_pose(HOME)[0]
    box = Box(tuple(place - 0.1), tuple(place + np.array([0.1, 0.1, 0.02])))  # type: ignore[arg-type]
    region = region_of(with_kinematics(workspace=box))
    assert region is not None
    np.testing.assert_allclose(region.clearance(HOME[None]), [0.02])
    both = region_of(with_kinematics(workspace=box, self_distance=0.2))
    assert both is not None
    assert both.clearance(HOME[None])[0] < 0.0
