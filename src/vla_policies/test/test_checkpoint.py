"""The checkpoint folder: what is written is what is read, and what is said about a wrong one."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
import yaml

import vla_policies
from vla_core.errors import CheckpointError, ConfigError, EmbodimentMismatch
from vla_policies.checkpoint import Checkpoint, read_checkpoint, write_checkpoint


@pytest.fixture
def folder(checkpoint: Checkpoint, tmp_path: Path) -> Path:
    write_checkpoint(tmp_path / "policy", checkpoint)
    return tmp_path / "policy"


def change_config(folder: Path, change) -> None:
    data = yaml.safe_load((folder / "config.yaml").read_text())
    change(data)
    (folder / "config.yaml").write_text(yaml.safe_dump(data))


def with_weights(checkpoint: Checkpoint, **changes) -> Checkpoint:
    """A copy of a checkpoint with some weights replaced, or left out where None."""
    weights = {**checkpoint.weights, **changes}
    return Checkpoint(checkpoint.config, {name: tensor for name, tensor in weights.items() if tensor is not None})


def test_a_checkpoint_survives_the_way_to_disk_and_back(checkpoint, folder) -> None:
    copy = read_checkpoint(folder)
    assert copy.config == checkpoint.config
    assert copy.weights.keys() == checkpoint.weights.keys()
    assert all(torch.equal(copy.weights[name], tensor) for name, tensor in checkpoint.weights.items())


def test_it_loads_without_anything_that_is_left_of_an_interrupted_write(folder) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["config.yaml", "model.safetensors"]


def test_the_description_is_plain_data_that_says_what_goes_in_and_out(folder) -> None:
    described = vla_policies.describe(folder)
    json.dumps(described)
    assert described["cameras"] == {"scene": "32x24", "wrist": "32x24"}
    assert described["actions"][-1] == "gripper [m]"
    assert described["chunk_seconds"] == pytest.approx(0.2)


def test_the_policy_id_tells_weights_apart(checkpoint, folder, tmp_path) -> None:
    name, tensor = next(iter(checkpoint.weights.items()))
    write_checkpoint(tmp_path / "other", with_weights(checkpoint, **{name: tensor + 1.0}))
    ids = {vla_policies.load(path).policy_id for path in (folder, folder, tmp_path / "other")}
    assert len(ids) == 2


def test_a_folder_that_is_none_is_named(tmp_path) -> None:
    with pytest.raises(CheckpointError, match=r"expected a folder with config.yaml \(vla\), .* found nothing$"):
        vla_policies.load(tmp_path / "nothing")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(CheckpointError, match=r"expected a folder with config.yaml \(vla\), .* found \['notes.txt'\]"):
        vla_policies.load(tmp_path)


@pytest.mark.parametrize("left", [0, 7, 400, -1])
def test_truncated_weights_are_refused(left, folder) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(CheckpointError, match=r"model.safetensors: expected a whole safetensors file"):
        vla_policies.load(folder)


def test_missing_weights_are_refused(folder) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model.safetensors: cannot be read"):
        vla_policies.load(folder)


def test_missing_unexpected_and_misshapen_tensors_are_named(checkpoint) -> None:
    changes = {"state_projection.bias": None, "extra": torch.zeros(1), "query_position": torch.zeros(7, 32)}
    with pytest.raises(CheckpointError) as caught:
        with_weights(checkpoint, **changes).network()
    message = str(caught.value)
    assert "missing: state_projection.bias" in message
    assert "unexpected: extra" in message
    assert "query_position: expected (6, 32), found (7, 32)" in message


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_when_read_and_when_written(
    value, checkpoint, folder, tmp_path
) -> None:
    broken = checkpoint.weights["state_projection.weight"].clone()
    broken[0, 0] = value
    changed = with_weights(checkpoint, **{"state_projection.weight": broken})
    with pytest.raises(CheckpointError, match=r"found NaN or infinity in state_projection.weight"):
        changed.network()
    with pytest.raises(CheckpointError, match="found NaN or infinity"):
        write_checkpoint(tmp_path / "broken", changed)
    raw = (folder / "model.safetensors").read_bytes()
    good = checkpoint.weights["state_projection.weight"].numpy().tobytes()
    (folder / "model.safetensors").write_bytes(raw.replace(good, broken.numpy().tobytes()))
    with pytest.raises(
        CheckpointError, match=r"model.safetensors: .* found NaN or infinity in state_projection.weight"
    ):
        vla_policies.load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.pop("spec"), "spec: missing"),
        (lambda data: data.update(colour="red"), "colour: unknown key"),
        (lambda data: data.update(schema="vla/policy/9"), "schema: expected 'vla/policy/1', found 'vla/policy/9'"),
        (lambda data: data["network"].update(heads="many"), "network: heads: expected a valid integer"),
        (
            lambda data: data["network"].update(heads=5),
            "hidden_dim: expected a multiple of 4 and of heads (5), found 32",
        ),
        (lambda data: data["spec"].update(action_horizon=0), "spec.action_horizon: expected greater than 0, found 0"),
        (
            lambda data: data["normalisation"]["qpos"]["stats"]["std"].__setitem__(0, 0.0),
            "normalisation.qpos: expected stds > 0",
        ),
        (lambda data: data["embodiment"]["joints"].pop(), "embodiment: action.fields: expected the elements"),
    ],
)
def test_a_wrong_configuration_is_refused_with_the_key(change, message, folder) -> None:
    change_config(folder, change)
    with pytest.raises(ConfigError) as caught:
        vla_policies.load(folder)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.update(family="gpt"), "family: expected 'act', "),
        (lambda data: data["normalisation"].pop("action"), "normalisation.action: missing"),
        (
            lambda data: data["normalisation"]["qpos"]["stats"].update(mean=[0.0], std=[1.0]),
            "normalisation.qpos: expected 8 values, found 1",
        ),
    ],
)
def test_a_configuration_that_does_not_fit_itself_is_refused(change, message, folder) -> None:
    change_config(folder, change)
    with pytest.raises(CheckpointError) as caught:
        vla_policies.load(folder)
    assert message in str(caught.value)


def test_a_configuration_cannot_execute_code(folder, tmp_path) -> None:
    text = (folder / "config.yaml").read_text()
    executed = tmp_path / "executed"
    (folder / "config.yaml").write_text(text + f'\nevil: !!python/object/apply:os.system ["touch {executed}"]\n')
    with pytest.raises(ConfigError, match="is not YAML"):
        vla_policies.load(folder)
    assert not executed.exists()


def test_a_checkpoint_for_another_robot_is_refused_by_name(folder, embodiment) -> None:
    used_on = dataclasses.replace(embodiment, name="slow", steps=dataclasses.replace(embodiment.steps, rate_hz=10.0))
    with pytest.raises(EmbodimentMismatch, match=r"made for the embodiment 'fr3_sim' .*\n  step rate"):
        vla_policies.load(folder, embodiment=used_on)
    vla_policies.load(folder, embodiment=embodiment)


def test_a_policy_whose_camera_the_robot_lacks_is_refused(checkpoint) -> None:
    embodiment = checkpoint.config.embodiment
    cameras = {role: camera for role, camera in embodiment.cameras.items() if role != "wrist"}
    without = dataclasses.replace(checkpoint.config, embodiment=dataclasses.replace(embodiment, cameras=cameras))
    with pytest.raises(EmbodimentMismatch, match="small needs the camera 'wrist'; 'fr3_sim' has 'scene'"):
        Checkpoint(without, checkpoint.weights).pipeline()


def test_a_device_that_is_not_there_is_named(folder) -> None:
    with pytest.raises(CheckpointError, match="device 'abacus': cannot be used here"):
        vla_policies.load(folder, device="abacus")
