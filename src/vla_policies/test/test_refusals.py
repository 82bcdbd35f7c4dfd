"""What is not to be used is refused, by every family alike, with a message that names what was expected and what was found.

Folders of ours, and what no family reads. Foreign containers: ``foreign``, and ``test_published*`` and ``test_checkpoints`` of
each family, which also have the hostile pickles.
"""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from continuing_policies import NETWORKS, continuing_checkpoint
from safetensors.torch import load_file, save_file

import vla_policies
from vla_core.embodiment import Embodiment
from vla_core.errors import CheckpointError, EmbodimentMismatch, VlaError
from vla_policies.checkpoint import Checkpoint, write_checkpoint
from vla_policies.families import FAMILIES, build_network

OTHERS: dict[str, dict[str, Any]] = {
    "crossformer": {
        "trunk": {
            "token_dim": 32,
            "layers": 1,
            "mlp_dim": 48,
            "heads": 4,
            "max_horizon": 2,
            "language_dim": 16,
            "encoder": {"width": 8, "units": [1, 1], "norm_groups": 4},
        },
        "image_size": [24, 32],
        "key_points": 4,
    },
    "openvla": {
        "vision": "small_cnn",
        "key_points": 4,
        "language": {
            "hidden_dim": 16,
            "layers": 1,
            "heads": 2,
            "feedforward_dim": 24,
            "vocabulary": 600,
            "padded_vocabulary": 640,
        },
        "end_of_prompt": 258,
    },
}


def small(family: str, embodiment: Embodiment, make_checkpoint: Any) -> Checkpoint:
    if family in NETWORKS:
        return continuing_checkpoint(family, embodiment)
    act: Checkpoint = make_checkpoint(embodiment)
    if family == "act":
        return act
    network = build_network(family, OTHERS[family], act.pipeline().shape, "test")
    config = dataclasses.replace(act.config, name=f"small_{family}", family=family, network=OTHERS[family])
    return Checkpoint(config, network.state_dict())


@pytest.fixture(scope="module", params=FAMILIES)
def whole(request, embodiment, make_checkpoint, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("refusals") / request.param
    write_checkpoint(folder, small(request.param, embodiment, make_checkpoint))
    return folder


@pytest.fixture
def folder(whole, tmp_path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "policy"))


def change_weights(folder: Path, change: Any) -> str:
    """Changes the first tensor of floating-point numbers; gives its name."""
    weights = load_file(folder / "model.safetensors")
    name = next(name for name, tensor in weights.items() if tensor.is_floating_point() and tensor.ndim > 1)
    save_file({**weights, name: change(weights[name]).contiguous()}, folder / "model.safetensors")
    return name


def change_config(folder: Path, change: Any) -> None:
    data = yaml.safe_load((folder / "config.yaml").read_text())
    change(data)
    (folder / "config.yaml").write_text(yaml.safe_dump(data))


def refusal(path: Path, error: type[VlaError] = CheckpointError, **given: Any) -> str:
    with pytest.raises(error) as caught:
        vla_policies.load(path, **given)
    return str(caught.value)


def test_as_they_are_they_act(folder, observation) -> None:
    assert vla_policies.load(folder).infer(observation).actions.shape[1] == 8


def test_a_weight_that_is_no_number(folder) -> None:
    name = change_weights(folder, lambda tensor: tensor * torch.nan)
    assert f"model.safetensors: expected finite weights, found NaN or infinity in {name}" in refusal(folder)


def test_weights_of_another_shape(folder) -> None:
    name = change_weights(folder, lambda tensor: torch.cat([tensor, tensor]))
    found = refusal(folder)
    assert "the weights do not fit the network that its configuration describes" in found
    assert f"of another shape: {name}: expected (" in found


def test_weights_of_another_type(folder) -> None:
    name = change_weights(folder, lambda tensor: tensor.to(torch.int32))
    assert f"of another type: {name}: expected torch.float32, found torch.int32" in refusal(folder)


@pytest.mark.parametrize("left", [0, 7, 400, -1])
def test_truncated_weights(left, folder) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:left])
    assert f"{path}: expected a whole safetensors file, found {path.stat().st_size} bytes" in refusal(folder)


@pytest.mark.parametrize("length", [2**33, 2**62])
def test_a_header_that_is_said_to_be_huge_takes_no_memory(length, folder) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(struct.pack("<Q", length) + path.read_bytes()[8:])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "expected a whole safetensors file" in refusal(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


def test_a_tensor_that_is_said_to_be_huge_takes_no_memory(folder) -> None:
    header = json.dumps({"x": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(64))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "expected a whole safetensors file" in refusal(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


def test_another_robot(folder, embodiment) -> None:
    steps = dataclasses.replace(embodiment.steps, rate_hz=10.0)
    other = dataclasses.replace(embodiment, name="slower", steps=steps)
    found = refusal(folder, EmbodimentMismatch, embodiment=other)
    assert "was made for the embodiment 'fr3_sim' and does not fit 'slower'" in found
    assert "step rate [Hz]: it has 30" in found


def test_a_robot_with_fewer_actions(folder, embodiment) -> None:
    action = dataclasses.replace(embodiment.action, fields=embodiment.action.fields[:1])
    other = dataclasses.replace(embodiment, name="bare", gripper=None, action=action)
    found = refusal(folder, EmbodimentMismatch, embodiment=other)
    assert f"actions: it has {list(embodiment.action_names)}, 'bare' has {list(embodiment.joint_names)}" in found


def test_statistics_of_another_number_of_actions(folder) -> None:
    def shorten(data: dict[str, Any]) -> None:
        stats = data["normalisation"]["action"]["stats"]
        data["normalisation"]["action"]["stats"] = {name: values[:7] for name, values in stats.items()}

    change_config(folder, shorten)
    assert "normalisation.action: expected 8 values, found 7" in refusal(folder)


def test_a_camera_that_the_robot_lacks(folder) -> None:
    change_config(folder, lambda data: data["spec"]["cameras"].update(top=data["spec"]["cameras"].pop("wrist")))
    assert "needs the camera 'top'; 'fr3_sim' has 'scene' or 'wrist'" in refusal(folder, EmbodimentMismatch)


def test_an_observation_without_a_camera(folder, observation) -> None:
    policy = vla_policies.load(folder)
    blind = dataclasses.replace(observation, images={"scene": observation.images["scene"]})
    with pytest.raises(EmbodimentMismatch, match="expected the camera 'wrist', found 'scene'"):
        policy.infer(blind)


class Executes:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self._path}",)


def test_a_pickle_in_place_of_weights_is_not_executed(folder, tmp_path) -> None:
    torch.save({"weight": Executes(tmp_path / "executed")}, folder / "model.safetensors")
    assert "expected a whole safetensors file" in refusal(folder)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "gr00t_n1"}, "expected GR00T N1.5, found N1, which is another network"),
        ({"model_type": "Gr00tN1d6"}, "expected GR00T N1.5, found N1.6, which is another network"),
        ({"model_type": "Gr00tN1d7"}, "expected GR00T N1.5, found N1.7, which is another network"),
        ({"type": "pi0_fast"}, "found pi0-FAST, which writes its actions as text"),
        ({"type": "diffusion"}, "type: expected 'act', found 'diffusion'"),
    ],
)
def test_folders_of_policies_that_are_not_read(config, message, tmp_path, embodiment) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert message in refusal(tmp_path, embodiment=embodiment)


def test_a_family_that_is_none(tmp_path, checkpoint) -> None:
    write_checkpoint(tmp_path / "policy", checkpoint)
    change_config(tmp_path / "policy", lambda data: data.update(family="smolvla"))
    assert "family: expected 'act', 'crossformer', 'groot', 'openvla', 'pi0' or 'pi05', found 'smolvla'" in refusal(
        tmp_path / "policy"
    )
