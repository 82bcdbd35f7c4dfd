"""Published folders load as they are, and what is missing, damaged or hostile is refused with the reason."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from loading_checks import require_loaded_as_converted
from safetensors.torch import load_file, save_file

import vla_policies
from vla_core.chunking import RecedingHorizon
from vla_core.embodiment.schema import ActionSpace, Field, Stream
from vla_core.errors import CheckpointError, EmbodimentMismatch
from vla_core.execution import Executor
from vla_policies.checkpoint import read_checkpoint
from vla_policies.containers import Told, convert
from vla_policies.errors import MissingInformation
from vla_policies.openvla.hugging_face import OpenVlaTold, is_openvla, read_openvla
from vla_policies.weights import load_into

CAMERAS = ("scene", "wrist")
TOLD = OpenVlaTold(action_horizon=3, bounds="bounds_q99", centre_crop=True)


def change_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def require_the_same(checkpoint, network) -> None:
    expected = network.state_dict()
    loaded = checkpoint.network().state_dict()
    assert loaded.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(loaded[name], tensor, atol=1e-6, rtol=0.0)


@pytest.mark.parametrize("changes", [{}, {"film": True}, {"head": "diffusion"}, {"head": "discrete"}])
def test_a_folder_of_oft_loads_whole(changes, make_folder, robot) -> None:
    folder, network = make_folder(**changes)
    assert is_openvla(folder)
    checkpoint = read_openvla(folder, robot, CAMERAS, TOLD)
    require_the_same(checkpoint, network)
    assert checkpoint.config.network["head"] == changes.get("head", "l1")
    assert checkpoint.config.network["film"] == changes.get("film", False)
    assert checkpoint.config.spec.action_horizon == 3


def test_it_is_described_and_converted_as_every_checkpoint(make_folder, robot, tmp_path) -> None:
    folder, network = make_folder()
    details = {"action_horizon": 3, "bounds": "bounds_q99", "centre_crop": True}
    told = Told(robot, CAMERAS, name="mine", details=details)
    described = vla_policies.describe(folder, told)
    assert (described["container"], described["family"], described["head"]) == ("openvla", "openvla", "l1_mlp_resnet")
    convert(folder, tmp_path / "ours", told=told)
    require_the_same(read_checkpoint(tmp_path / "ours"), network)
    with pytest.raises(MissingInformation, match="expected --embodiment"):
        vla_policies.describe(folder)


@pytest.mark.parametrize("changes", [{}, {"head": "discrete"}, {"head": "diffusion", "film": True}])
def test_it_is_loaded_as_it_is(changes, make_folder, robot, observation, tmp_path) -> None:
    details = {"action_horizon": 3, "bounds": "bounds_q99", "centre_crop": True}
    told = Told(robot, CAMERAS, details=details)
    require_loaded_as_converted(make_folder(**changes)[0], told, observation, tmp_path, "OpenVLA or OpenVLA-OFT")


def test_a_folder_of_openvla_loads_with_the_statistics_of_its_configuration(make_folder, robot, statistics) -> None:
    folder, network = make_folder(head="autoregressive", use_proprio=False)
    (folder / "dataset_statistics.json").unlink()
    change_json(folder / "config.json", norm_stats={"bridge_orig": statistics, "fractal": statistics})
    with pytest.raises(MissingInformation, match="expected one of 'bridge_orig' or 'fractal'"):
        read_openvla(folder, robot, CAMERAS)
    checkpoint = read_openvla(folder, robot, CAMERAS, OpenVlaTold(dataset="fractal"))
    require_the_same(checkpoint, network)
    assert (checkpoint.config.network["head"], checkpoint.config.spec.action_horizon) == ("autoregressive", 1)


def test_actions_are_in_the_units_of_the_statistics(make_folder, robot, statistics) -> None:
    folder, _ = make_folder()
    normalisation = read_openvla(folder, robot, CAMERAS, TOLD).config.normalisation
    low, high = (np.array(statistics["action"][key]) for key in ("q01", "q99"))
    np.testing.assert_allclose(normalisation["action"].inverse(-np.ones(8))[:7], low[:7], atol=1e-6)
    np.testing.assert_allclose(normalisation["action"].inverse(np.ones(8))[:7], high[:7], atol=1e-6)
    assert normalisation["action"].inverse(np.full(8, 0.25))[7] == 0.25  # the mask leaves out the gripper
    np.testing.assert_allclose(
        normalisation["qpos"].forward(np.array([-2.0, 2.0, 0.0, 9.0] * 2))[:4], [-1, 1, 0, 1], atol=1e-6
    )
    whole = dataclasses.replace(TOLD, bounds="bounds")
    by_bounds = read_openvla(folder, robot, CAMERAS, whole).config.normalisation["action"]
    np.testing.assert_allclose(by_bounds.inverse(np.ones(8))[:7], 1.5, atol=1e-6)


def test_changes_of_the_tools_pose_are_named_and_are_not_for_a_robot_of_joints(
    make_folder, robot, statistics, observation
) -> None:
    """As LIBERO's: six numbers, and a gripper that is not normalised."""
    folder, _ = make_folder(actions=7)
    short = {key: values[-7:] for key, values in statistics["action"].items()}
    (folder / "dataset_statistics.json").write_text(json.dumps({"libero": {**statistics, "action": short}}))
    details = {"action_horizon": 3, "bounds": "bounds_q99", "centre_crop": True}
    message = (
        r"its actions are tcp_delta \(changes of the end effector's pose\); those of 'trained_with' are joint_position$"
    )
    with pytest.raises(EmbodimentMismatch, match=message):
        vla_policies.load(folder, embodiment=robot, told={"cameras": CAMERAS, **details})
    names = ("x", "y", "z", "rx", "ry", "rz", "gripper")
    pose = Stream(
        "/tool",
        "std_msgs/msg/Float64MultiArray",
        30.0,
        robot.streams["arm_command"].align,
        {"delta": Field("data", "1", names)},
    )
    libero = dataclasses.replace(
        robot, name="libero", streams={**robot.streams, "tool": pose}, action=ActionSpace("tcp_delta", ("tool.delta",))
    )
    policy = vla_policies.load(folder, embodiment=libero, told={"cameras": CAMERAS, **details})
    assert "3 actions (tcp_delta)" in policy.description
    assert policy.infer(observation).actions.shape == (3, 7)
    with pytest.raises(EmbodimentMismatch, match=r"with tcp_delta and the rotation axis_angle: expected the units"):
        Executor(libero, RecedingHorizon())
    convert(folder, folder.with_name("ours"), told=Told(libero, CAMERAS, details=details))
    assert vla_policies.describe(folder.with_name("ours"))["action_kind"] == "tcp_delta"
    with pytest.raises(EmbodimentMismatch, match="action space: it has tcp_delta, 'trained_with' has joint_position"):
        vla_policies.load(folder.with_name("ours"), embodiment=robot)


def test_a_loaded_policy_infers(make_folder, robot) -> None:
    folder, _ = make_folder()
    checkpoint = read_openvla(folder, robot, CAMERAS, TOLD)
    images = {role: np.full((1, 24, 32, 3), 90, np.uint8) for role in CAMERAS}
    assert checkpoint.config.network["centre_crop"]
    with torch.inference_mode():
        inputs = checkpoint.pipeline().inputs(images, {"qpos": np.zeros((1, 8))}, torch.device("cpu"))
        predicted = checkpoint.network().predict(inputs)
    assert checkpoint.pipeline().actions(predicted, {"qpos": np.zeros((1, 8))}).shape == (1, 3, 8)


@pytest.mark.parametrize("head", ["l1", "discrete", "diffusion"])
def test_sixteen_bit_weights_stay_so(head, make_folder, robot, small_network) -> None:
    folder, network = make_folder(head=head, precision="bfloat16")
    checkpoint = read_openvla(folder, robot, CAMERAS, TOLD)
    assert checkpoint.config.network["precision"] == "bfloat16"
    images = {role: np.full((1, 24, 32, 3), 90, np.uint8) for role in CAMERAS}
    inputs = checkpoint.pipeline().inputs(images, {"qpos": np.zeros((1, 8))}, torch.device("cpu"))
    loaded = checkpoint.network()
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.bfloat16}
    with torch.inference_mode():
        predicted = loaded.predict(inputs)
        wide = small_network(head=head, centre_crop=True)
        wide.load_state_dict({name: tensor.float() for name, tensor in network.state_dict().items()})
        exact = wide.predict(inputs)
    assert predicted.abs().max() < 2.0
    if head == "l1":  # the others decide, or add up, what little is between the two
        torch.testing.assert_close(predicted.float(), exact, atol=0.05, rtol=0.0)


# ---------------------------------------------------------------- LoRA


def changes_of(shape: torch.Size, rank: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(rank, *shape[1:]), torch.randn(shape[0], rank, *(1 for _ in shape[2:]))


def test_an_adapter_is_merged_into_its_base(make_folder, robot, tmp_path) -> None:
    base, network = make_folder()
    layers = ["language_model.model.layers.1.self_attn.q_proj", "vision_backbone.featurizer.patch_embed.proj"]
    adapter = tmp_path / "changes" / "lora_adapter"
    adapter.mkdir(parents=True)
    held, expected = {}, network.state_dict()
    for layer in layers:
        down, up = changes_of(expected[f"{layer}.weight"].shape)
        held |= {f"base_model.model.{layer}.lora_A.weight": down, f"base_model.model.{layer}.lora_B.weight": up}
        change = torch.einsum("or,r...->o...", up.flatten(1), down)
        expected[f"{layer}.weight"] = expected[f"{layer}.weight"] + 2 / 4 * change
    head = torch.randn_like(expected["language_model.lm_head.weight"])
    expected["language_model.lm_head.weight"] = held["base_model.model.language_model.lm_head.weight"] = head
    save_file(held, adapter / "adapter_model.safetensors")
    (adapter / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 4, "lora_alpha": 2}))
    for file in [*base.glob("*.pt"), base / "dataset_statistics.json"]:
        os.replace(file, tmp_path / "changes" / file.name)
    with pytest.raises(MissingInformation, match="expected the folder of the network"):
        read_openvla(tmp_path / "changes", robot, CAMERAS, TOLD)
    told = dataclasses.replace(TOLD, base=base)
    load_into(network, expected, "test")
    require_the_same(read_openvla(tmp_path / "changes", robot, CAMERAS, told), network)
    change_json(adapter / "adapter_config.json", use_dora=True)
    with pytest.raises(CheckpointError, match="use_dora: expected False, found True"):
        read_openvla(tmp_path / "changes", robot, CAMERAS, told)


def test_an_adapter_beside_the_network_is_merged_into_it_already(make_folder, robot) -> None:
    folder, network = make_folder()
    (folder / "lora_adapter").mkdir()
    (folder / "lora_adapter" / "adapter_config.json").write_text('{"lora_alpha": 16, "r": 32}')
    require_the_same(read_openvla(folder, robot, CAMERAS, TOLD), network)


def test_a_vision_backbone_saved_with_its_lora_is_merged(make_folder, robot) -> None:
    folder, network = make_folder(film=True)
    file = folder / "vision_backbone--150000_checkpoint.pt"
    weights, expected = torch.load(file, weights_only=True), network.state_dict()
    layer = "vision_backbone.featurizer.blocks.1.block.attn.qkv"
    down, up = changes_of(expected[f"{layer}.weight"].shape, rank=32)
    for part in ("weight", "bias"):
        weights[f"module.{layer}.base_layer.{part}"] = weights.pop(f"module.{layer}.{part}")
    weights |= {f"module.{layer}.lora_A.default.weight": down, f"module.{layer}.lora_B.default.weight": up}
    torch.save(weights, file)
    expected[f"{layer}.weight"] = expected[f"{layer}.weight"] + 0.5 * up @ down  # alpha 16 of rank 32
    load_into(network, expected, "test")
    require_the_same(read_openvla(folder, robot, CAMERAS, TOLD), network)


# ---------------------------------------------------------------- refusals


def test_what_the_folder_does_not_say_is_asked_for(make_folder, robot) -> None:
    folder, _ = make_folder()
    with pytest.raises(
        MissingInformation, match=r"expected the number of actions in a chunk .*, whether .*'bounds_q99'.*crops"
    ):
        read_openvla(folder, robot, CAMERAS)
    with pytest.raises(MissingInformation, match="expected the roles of its cameras"):
        read_openvla(folder, robot, ())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "prismatic"}, "model_type: expected 'openvla', found 'prismatic'"),
        ({"timm_model_ids": ["vit_so400m_patch14_siglip_224"]}, "timm_model_ids: expected"),
        ({"arch_specifier": "no-align+gelu-mlp"}, "arch_specifier: expected 'no-align"),
        ({"text_config": {"model_type": "mistral"}}, "text_config: expected that of a 'llama'"),
        ({"text_config": {"num_key_value_heads": 8}}, "expected a key for every head"),
        ({"text_config": {"vocab_size": "many"}}, "expected numbers above 0"),
    ],
)
def test_other_networks_are_refused_by_name(change, message, make_folder, robot) -> None:
    folder, _ = make_folder()
    change_json(folder / "config.json", **change)
    with pytest.raises(CheckpointError) as caught:
        read_openvla(folder, robot, CAMERAS, TOLD)
    assert message in str(caught.value)


def test_images_that_are_made_to_fit_otherwise_are_refused(make_folder, robot) -> None:
    folder, _ = make_folder()
    (folder / "preprocessor_config.json").write_text('{"image_resize_strategy": "letterbox"}')
    with pytest.raises(CheckpointError, match="image_resize_strategy: expected 'resize-naive', found 'letterbox'"):
        read_openvla(folder, robot, CAMERAS, TOLD)


def test_another_robot_is_refused(make_folder, robot, statistics) -> None:
    folder, _ = make_folder(head="autoregressive", use_proprio=False)
    short = {key: value[:7] for key, value in statistics["action"].items()}
    (folder / "dataset_statistics.json").write_text(json.dumps({"libero": {"action": short}}))
    with pytest.raises(EmbodimentMismatch, match="actions: 'trained_with' has the 8 dimensions"):
        read_openvla(folder, robot, CAMERAS)
    with pytest.raises(EmbodimentMismatch, match="needs the camera 'left'"):
        read_openvla(folder, robot, ("scene", "left"))


def test_several_files_of_one_part_are_not_chosen_from(make_folder, robot) -> None:
    folder, _ = make_folder()
    (folder / "action_head--latest_checkpoint.pt").write_bytes(b"")
    with pytest.raises(CheckpointError, match="expected one file of 'action_head', found"):
        read_openvla(folder, robot, CAMERAS, TOLD)


def test_a_hostile_side_file_is_not_executed(make_folder, robot, tmp_path) -> None:
    class Executes:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'executed'}",)

    folder, _ = make_folder()
    torch.save({"model.fc1.weight": Executes()}, folder / "action_head--150000_checkpoint.pt")
    with pytest.raises(CheckpointError, match="expected a file of weights and nothing else"):
        read_openvla(folder, robot, CAMERAS, TOLD)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("file", ["model-00002-of-00002.safetensors", "action_head--150000_checkpoint.pt"])
def test_truncated_files_are_refused(file, make_folder, robot) -> None:
    folder, _ = make_folder()
    (folder / file).write_bytes((folder / file).read_bytes()[:-200])
    with pytest.raises(CheckpointError, match=file):
        read_openvla(folder, robot, CAMERAS, TOLD)


def test_a_missing_part_of_a_tower_is_named(make_folder, robot) -> None:
    folder, _ = make_folder()
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())["weight_map"]
    name = "vision_backbone.featurizer.pos_embed"
    file = folder / index.pop(name)
    save_file({key: tensor for key, tensor in load_file(file).items() if key != name}, file)
    path.write_text(json.dumps({"weight_map": index}))
    with pytest.raises(CheckpointError, match=f"found none for '{name}'"):
        read_openvla(folder, robot, CAMERAS, TOLD)


@pytest.mark.parametrize(
    ("statistics", "message"),
    [
        ("[]", "expected a JSON object"),
        ("{}", "expected data sets with their statistics"),
        ('{"a": {"proprio": {}}}', "expected statistics of 'action'"),
        ('{"a": {"action": {"q01": ["x"], "q99": [1]}}}', "action.q01: expected a list of numbers"),
        ('{"a": {"action": {"q01": [2], "q99": [1], "min": [0], "max": [1]}}}', "q01 <= q99"),
        ('{"a": {"action": {"q01": [0], "q99": [1], "min": [0], "max": [1], "mask": [3]}}}', "mask: expected true"),
    ],
)
def test_wrong_statistics_are_refused(statistics, message, make_folder, robot) -> None:
    folder, _ = make_folder()
    (folder / "dataset_statistics.json").write_text(statistics)
    with pytest.raises(CheckpointError) as caught:
        read_openvla(folder, robot, CAMERAS, TOLD)
    assert message in str(caught.value)


def test_the_name_of_a_suite_finds_its_data_set(make_folder, robot, statistics) -> None:
    folder, _ = make_folder()
    sets = {"libero_spatial_no_noops": statistics, "libero_goal_no_noops": statistics}
    (folder / "dataset_statistics.json").write_text(json.dumps(sets))
    read_openvla(folder, robot, CAMERAS, dataclasses.replace(TOLD, dataset="libero_spatial"))
    with pytest.raises(CheckpointError, match="expected statistics of 'libero_10', found those of"):
        read_openvla(folder, robot, CAMERAS, dataclasses.replace(TOLD, dataset="libero_10"))
