"""The embodiment file: what is read, and what is said about a wrong one."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest

from vla_core import config
from vla_core.embodiment import Embodiment, JointLimits, load_embodiment, require_compatible
from vla_core.embodiment.loading import embodiment_from_mapping
from vla_core.errors import ConfigError, EmbodimentMismatch

EMBODIMENTS = Path(__file__).parents[3] / "config" / "embodiments"


@pytest.fixture
def data() -> dict:
    return config.read_yaml(EMBODIMENTS / "fr3.yaml")


@pytest.mark.parametrize("path", sorted(EMBODIMENTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_embodiment_loads_and_survives_a_round_trip(path: Path) -> None:
    embodiment = load_embodiment(path)
    assert embodiment_from_mapping(config.to_mapping(embodiment), "copy") == embodiment
    assert pickle.loads(pickle.dumps(embodiment)) == embodiment


def test_names_and_units_follow_the_declared_fields() -> None:
    fr3 = load_embodiment(EMBODIMENTS / "fr3.yaml")
    assert fr3.action_names == (*fr3.joint_names, "gripper")
    assert fr3.action_units == ("rad",) * 7 + ("m",)
    assert fr3.names_of(fr3.proprioception["qpos"]) == (*fr3.joint_names, "fr3_finger_joint1")
    assert fr3.observed_streams == ("joints", "fingers")
    assert fr3.streams["joints"].slice_of("velocity") == slice(7, 14)


def test_extends_replaces_only_what_it_names() -> None:
    fr3, sim = load_embodiment(EMBODIMENTS / "fr3.yaml"), load_embodiment(EMBODIMENTS / "fr3_sim.yaml")
    assert sim.cameras["scene"].width == 128
    assert sim.cameras["scene"].topic == fr3.cameras["scene"].topic
    assert sim.joints == fr3.joints


def wrong(data: dict, path: str, value: object) -> dict:
    """A copy of ``data`` with one key changed, or removed if ``value`` is None."""
    changed = copy.deepcopy(data)
    *parents, last = (int(part) if part.isdigit() else part for part in path.split("."))
    place = changed
    for part in parents:
        place = place[part]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return changed


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("joints.2.velocity", None, "joints[2].velocity: missing"),
        ("joints.2.velocity", "fast", "joints[2].velocity: expected a valid number"),
        ("joints.2.jerk", -1.0, "joints[2].jerk: expected greater than 0, found -1.0"),
        ("joints.0.position", {"min": 1.0, "max": -1.0}, "joints[0].position: expected min < max"),
        ("joints.1.name", "fr3_joint1", "joints: 'fr3_joint1' stands there twice"),
        ("joints.6.name", "panda_joint7", "action.fields: expected the elements"),
        ("cameras.scene.colour", "rgb", "cameras.scene.colour: unknown key"),
        ("cameras.scene.align.method", "closest", "cameras.scene.align.method: expected 'interpolate', 'nearest'"),
        ("steps.clock", "top", "steps.clock: expected 'scene', 'wrist' or 'fixed', found 'top'"),
        ("action.fields", ["arm_command.velocity"], "action.fields[0]: expected"),
        ("streams.gripper_command.fields.position.names", None, "streams.gripper_command.fields.position: expected"),
        ("proprioception.qpos", None, "proprioception.qpos: missing"),
        ("gripper.close_below", 0.03, "gripper: expected closed <= close_below <= open_above <= open"),
        ("kinematics.posture", [0.0], "kinematics.posture: expected 7 joint positions or none, found 1"),
        (
            "kinematics.workspace",
            {"low": [0.0, 0.0, 0.5], "high": [1.0, 1.0, 0.5]},
            "kinematics.workspace: expected low < high along each axis",
        ),
        ("action.rotation", "euler", "action.rotation: expected 'axis_angle', 'rpy', "),
        ("arm.kind", "effort", "arm.kind: expected 'joint_trajectory', 'forward_command', "),
        ("schema", "vla/embodiment/9", "schema: expected 'vla/embodiment/1', found 'vla/embodiment/9'"),
    ],
)
def test_a_wrong_file_is_reported_with_its_path(data: dict, path: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        embodiment_from_mapping(wrong(data, path, value), "fr3.yaml")
    assert f"fr3.yaml: {message}" in str(caught.value)


def test_all_problems_of_a_file_are_reported_together(data: dict) -> None:
    changed = wrong(wrong(data, "joints.0.velocity", None), "cameras.wrist.width", "wide")
    with pytest.raises(ConfigError) as caught:
        embodiment_from_mapping(changed, "fr3.yaml")
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("text", "message"), [("[1, 2", "is not YAML"), ("3", "expected a mapping"), (None, "cannot be read")]
)
def test_an_unreadable_file_is_one_clear_error(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "robot.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_embodiment(path)


def test_velocity_envelope_equals_libfranka() -> None:
    limits = JointLimits.of(load_embodiment(EMBODIMENTS / "fr3.yaml"))
    position = np.array([2.7, 0.0, -2.9, -3.0, 0.0, 0.6, 3.0])
    upper, lower = limits.velocity_upper(position), limits.velocity_lower(position)
    # libfranka: min(2.62, max(0, -0.30 + sqrt(12.0 * (2.75010 - q)))), and the lower one with 0.30 and 2.750100 + q
    assert upper[0] == pytest.approx(-0.30 + np.sqrt(12.0 * (2.75010 - 2.7)))
    assert upper[1] == pytest.approx(2.62)
    assert lower[3] == pytest.approx(0.30 - np.sqrt(8.0 * (3.048100 - 3.0)))
    assert lower[5] == pytest.approx(0.35 - np.sqrt(11.0 * (-0.54092 + 0.6)))
    assert limits.velocity_upper(limits.position_max + 1.0) == pytest.approx(np.zeros(7))


def test_a_joint_without_envelope_has_the_plain_limit() -> None:
    fr3 = load_embodiment(EMBODIMENTS / "fr3.yaml")
    plain = dataclasses.replace(fr3, joints=tuple(dataclasses.replace(j, velocity_envelope=None) for j in fr3.joints))
    limits = JointLimits.of(plain)
    for position in (-100.0, 0.0, 100.0):
        assert limits.velocity_upper(np.full(7, position)) == pytest.approx(limits.velocity)
        assert limits.velocity_lower(np.full(7, position)) == pytest.approx(-limits.velocity)


def test_compatibility_ignores_topics_and_sizes_but_not_meaning(data: dict) -> None:
    fr3, sim = load_embodiment(EMBODIMENTS / "fr3.yaml"), load_embodiment(EMBODIMENTS / "fr3_sim.yaml")
    require_compatible(sim, fr3, "checkpoint x")

    renamed: Embodiment = dataclasses.replace(fr3, cameras={"top": fr3.cameras["scene"], "wrist": fr3.cameras["wrist"]})
    with pytest.raises(EmbodimentMismatch, match=r"checkpoint x .*\n.*cameras: it has .*'top'.* has .*'scene'"):
        require_compatible(renamed, fr3, "checkpoint x")


def test_changes_that_are_told_in_another_convention_are_not_the_same_actions() -> None:
    ours = load_embodiment(EMBODIMENTS / "fr3_sim_tcp_delta.yaml")
    theirs = dataclasses.replace(ours, action=dataclasses.replace(ours.action, frame="tool", since="observation"))
    with pytest.raises(EmbodimentMismatch, match=r"rotations, frame and since: it has .*'rpy', 'tool', 'observation'"):
        require_compatible(theirs, ours, "checkpoint x")
    joints = load_embodiment(EMBODIMENTS / "fr3.yaml")
    require_compatible(
        dataclasses.replace(joints, action=dataclasses.replace(joints.action, rotation="rpy")), joints, "x"
    )
