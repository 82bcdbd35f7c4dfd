"""What a server's names and numbers mean: addresses, mapping files, and the translation there and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vla_core import config
from vla_core.embodiment import load_embodiment
from vla_core.errors import ConfigError, PeerError
from vla_core.observation import Observation
from vla_core.steps import blank_observation
from vla_policy_node.remote.address import is_remote, parse_address
from vla_policy_node.remote.mapping import MAX_HORIZON, RemoteMapping, Translation, load_mapping

CONFIG = Path(__file__).parents[3] / "config"
FR3 = load_embodiment(CONFIG / "embodiments" / "fr3_sim.yaml")
JOINTS = list(FR3.joint_names)
ARM = {"names": JOINTS, "first": 0}
HAND = {"names": ["gripper"], "first": 7, "open": 0.0, "closed": 1.0}


def mapping(**changes: Any) -> RemoteMapping:
    """As for a server of openpi's for DROID, with changes."""
    data = {
        "schema": "vla/remote/1",
        "rate_hz": 15,
        "images": {"observation/exterior_image_1_left": "scene", "observation/wrist_image_left": "wrist"},
        "states": {
            "observation/joint_position": {"names": JOINTS},
            "observation/gripper_position": {"names": ["fr3_finger_joint1"], "open": 0.0, "closed": 1.0},
        },
        "prompt": "prompt",
        "actions": [ARM, HAND],
        **changes,
    }
    return config.from_mapping(RemoteMapping, data, "droid.yaml")


def translation(**changes: Any) -> Translation:
    return Translation(mapping(**changes), FR3, "droid.yaml")


def seen() -> Observation:
    observation = blank_observation(FR3, "lift it")
    observation.proprioception["qpos"][:] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.03]
    return observation


def test_what_is_observed_is_sent_under_the_servers_keys_in_its_convention() -> None:
    sent = translation().inputs(seen())
    assert set(sent) == {
        "observation/exterior_image_1_left",
        "observation/wrist_image_left",
        "observation/joint_position",
        "observation/gripper_position",
        "prompt",
    }
    assert sent["prompt"] == "lift it"
    assert (sent["observation/wrist_image_left"].shape, sent["observation/wrist_image_left"].dtype) == (
        (96, 128, 3),
        np.uint8,
    )
    assert sent["observation/joint_position"].dtype == np.float32
    np.testing.assert_allclose(sent["observation/joint_position"], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], rtol=1e-6)
    np.testing.assert_allclose(sent["observation/gripper_position"], [0.25])  # of 0.04 m open, 0.03 m


@pytest.mark.parametrize(
    ("meaning", "scale", "expected"),
    [
        ("absolute", 1.0, [[0.5], [0.7]]),
        ("from_state", 1.0, [[0.6], [0.8]]),
        ("from_previous", 1.0, [[0.6], [1.3]]),
        ("from_previous", 0.1, [[0.15], [0.22]]),
    ],
)
def test_columns_mean_what_the_mapping_says(meaning: str, scale: float, expected: list[list[float]]) -> None:
    """The first joint is at 0.1 and answered 0.5 and 0.7; the others are answered 0 and are absolute."""
    rest = {"names": JOINTS[1:], "first": 1}
    first = {"names": JOINTS[:1], "first": 0, "meaning": meaning, "scale": scale}
    answer = np.zeros((2, 8), np.float32)
    answer[:, 0], answer[:, 7] = [0.5, 0.7], [1.0, 0.5]
    actions = translation(actions=[first, rest, HAND]).actions({"actions": answer}, seen())
    np.testing.assert_allclose(actions[:, :1], expected, rtol=1e-6)
    np.testing.assert_array_equal(actions[:, 1:7], 0.0)
    np.testing.assert_allclose(actions[:, 7], [0.0, 0.02])  # closed, half open [m]


def test_actions_may_come_in_several_arrays_in_any_order() -> None:
    outputs = [{"names": ["gripper"], "key": "hand"}, {"names": JOINTS[::-1], "key": "arm"}]
    arm, hand = np.arange(14.0).reshape(2, 7), np.array([[0.01], [0.02]])
    actions = translation(actions=outputs).actions({"arm": arm, "hand": hand, "info": {}}, seen())
    np.testing.assert_array_equal(actions, np.hstack([arm[:, ::-1], hand]))


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ({}, "expected an array under 'actions', found \\[\\]"),
        ({"actions": [[0.0] * 8]}, "expected an array"),
        ({"actions": np.zeros(8)}, "found \\(8,\\)"),
        ({"actions": np.zeros((3, 7))}, "8 or more"),
        ({"actions": np.zeros((0, 8))}, "found \\(0, 8\\)"),
        ({"actions": np.zeros((MAX_HORIZON + 1, 8))}, f"1 to {MAX_HORIZON}"),
        ({"actions": np.zeros((3, 8), np.bool_)}, "bool"),
        ({"actions": np.full((3, 8), np.nan)}, "expected finite numbers"),
        ({"actions": np.full((3, 8), np.inf)}, "expected finite numbers"),
    ],
)
def test_an_answer_of_another_shape_is_refused(answer: dict[str, Any], complaint: str) -> None:
    with pytest.raises(PeerError, match=complaint):
        translation().actions(answer, seen())


def test_arrays_of_different_lengths_are_refused() -> None:
    outputs = [{"names": ["gripper"], "key": "hand"}, {"names": JOINTS, "key": "arm"}]
    with pytest.raises(PeerError, match=r"as many actions each, found \[2, 3\]"):
        translation(actions=outputs).actions({"arm": np.zeros((2, 7)), "hand": np.zeros((3, 1))}, seen())


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"images": {"image": "front"}}, "images: image: expected 'scene' or 'wrist', found 'front'"),
        ({"states": {"state": {"names": ["panda_joint1"]}}}, "states: state: expected some of .* found 'panda_joint1'"),
        ({"states": {"state": {"open": 1.0}}}, "expected open and closed"),
        ({"states": {"state": {"open": 1.0, "closed": 1.0}}}, "two different numbers"),
        ({"actions": [ARM]}, "actions: expected each of .* once"),
        ({"actions": [ARM, HAND, HAND]}, "actions: expected each of .* once"),
        ({"actions": [{**ARM, "open": 0, "closed": 1}, HAND]}, "expected the one absolute action 'gripper'"),
        ({"actions": [ARM, {**HAND, "scale": 2.0}]}, "expected the one absolute action 'gripper', without scale"),
        ({"actions": [ARM, {"names": ["gripper"], "meaning": "from_state"}]}, "from_state: expected some of"),
        ({"actions": [{**ARM, "meaning": "delta"}, HAND]}, "meaning: expected 'absolute'"),
        ({"rate_hz": 0}, "rate_hz: expected greater than 0"),
        ({"rate": 3}, "rate: unknown key"),
    ],
)
def test_a_mapping_that_does_not_fit_the_robot_is_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=f"(?s)droid.yaml: .*{complaint}"):
        translation(**changes)


@pytest.mark.parametrize("file", sorted(p.name for p in (CONFIG / "remotes").glob("*.yaml")))
def test_the_mappings_that_are_shipped_fit_the_fr3(file: str) -> None:
    shipped = Translation(load_mapping(CONFIG / "remotes" / file), FR3, file)
    assert set(shipped.mapping.images.values()) == set(FR3.cameras)
    assert shipped.inputs(seen())[shipped.mapping.prompt] == "lift it"


def test_droids_velocities_are_changes_of_a_fifth_of_a_radian_per_step() -> None:
    shipped = Translation(load_mapping(CONFIG / "remotes" / "openpi_droid.yaml"), FR3, "openpi_droid.yaml")
    answer = np.zeros((3, 8), np.float32)
    answer[:, 2], answer[:, 7] = 0.5, 1.0
    actions = shipped.actions({"actions": answer}, seen())
    np.testing.assert_allclose(actions[:, 2], [0.4, 0.5, 0.6])  # from 0.3 rad
    np.testing.assert_allclose(actions[:, 7], 0.0, atol=1e-9)  # closed


# -- addresses -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("ws://gpu", "ws://gpu:8000"),
        ("ws://gpu:9000/", "ws://gpu:9000"),
        ("wss://gpu", "wss://gpu:443"),
        ("zmq://10.0.0.2", "tcp://10.0.0.2:5555"),
        ("zmq://[::1]:7", "tcp://[::1]:7"),
    ],
)
def test_an_address_names_protocol_host_and_port(text: str, url: str) -> None:
    address = parse_address(text, {})
    assert (address.url, address.mapping, address.deadline_s, address.token) == (url, None, 1.0, "")


def test_the_rest_of_an_address_is_optional(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    address = parse_address(f"ws://gpu?mapping=a/b.yaml&deadline_ms=250&token_file={tmp_path / 'token'}", {})
    assert (address.mapping, address.deadline_s, address.token) == (Path("a/b.yaml"), 0.25, "s3cret")
    assert "s3cret" not in repr(address)
    assert parse_address("ws://gpu", {"VLA_POLICY_TOKEN": "other"}).token == "other"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("ws://", "expected ws://HOST:PORT"),
        ("http://gpu", "expected ws://HOST:PORT"),
        ("ws://gpu/policy", "expected ws://HOST:PORT"),
        ("ws://gpu:99999", "[Pp]ort"),
        ("ws://gpu?deadline=3", "expected 'deadline_ms', 'mapping' or 'token_file', found 'deadline'"),
        ("ws://gpu?deadline_ms=0", "deadline_ms: expected milliseconds"),
        ("ws://gpu?deadline_ms=nan", "deadline_ms: expected milliseconds"),
        ("ws://gpu?deadline_ms=soon", "deadline_ms: expected milliseconds"),
        ("ws://gpu?token_file=/does/not/exist", "cannot be read"),
        ("ws://me:s3cret@gpu", "expected no secret in the address"),
    ],
)
def test_what_is_no_address_is_refused_without_repeating_a_secret(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint) as refusal:
        parse_address(text, {})
    assert "s3cret" not in str(refusal.value)


@pytest.mark.parametrize("content", ["", "a\nb", "a b\x00", "x" * 5000, "geheim\xe4"])
def test_what_is_no_token_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_text(content)
    with pytest.raises(ConfigError, match="expected a token"):
        parse_address(f"ws://gpu?token_file={tmp_path / 'token'}", {})


@pytest.mark.parametrize(
    ("policy", "remote"),
    [("ws://gpu", True), ("zmq://gpu", True), ("checkpoints/ws", False), ("fake", False), ("", False)],
)
def test_a_policy_is_remote_if_it_is_an_address(policy: str, remote: bool) -> None:
    assert is_remote(policy) is remote
