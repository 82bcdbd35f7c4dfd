"""Reading NVIDIA's and LeRobot's folders: small ones, made here of weights whose actions are known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from loading_checks import require_loaded_as_converted
from torch import Tensor

import vla_policies
from vla_core.embodiment import Embodiment
from vla_core.errors import CheckpointError, EmbodimentMismatch
from vla_policies.batch import NetworkInputs, NetworkShape
from vla_policies.checkpoint import read_checkpoint, write_checkpoint
from vla_policies.containers import Told, convert, read_any
from vla_policies.errors import MissingInformation
from vla_policies.formats.shards import INDEX_FILE, WHOLE_FILE
from vla_policies.groot import GrootConfig, GrootNetwork
from vla_policies.groot.checkpoints import GrootTold, read_groot
from vla_policies.groot.config import EagleConfig, Qwen3Shape
from vla_policies.groot.qwen_tokenizer import _byte_characters
from vla_policies.groot.versions import is_groot
from vla_policies.heads.flow_matching_dit import FlowMatchingDitConfig
from vla_policies.pi0.config import SiglipShape
from vla_policies.weights import write_weights

# as small as can be with attention heads of the published widths, which no file states
VISION = SiglipShape(width=72, depth=1, mlp_dim=20, heads=1, patch=14, image=28)
LANGUAGE = Qwen3Shape(width=64, layers=2, heads=2, kv_heads=1, head_dim=16, mlp_dim=24, vocabulary=320)
HEAD = {
    "backbone_dim": 64,
    "hidden_dim": 16,
    "heads": 1,
    "head_dim": 48,
    "layers": 2,
    "vl_heads": 1,
    "vl_layers": 1,
    "future_tokens": 3,
    "positions": 20,
    "state_dim": 12,
    "action_dim": 10,
    "horizon": 6,
}
TABLES = (
    "backbone.eagle_model.language_model.model.embed_tokens.weight",
    "backbone.eagle_model.language_model.lm_head.weight",
)
POOLING = "backbone.eagle_model.vision_model.vision_model.head."
KEYS = {"arm": 7, "gripper": 1}
DETAILS = {"state_keys": ["arm", "gripper"], "action_keys": ["arm", "gripper"], "mode": "min_max"}
TOLD = GrootTold(state_keys=("arm", "gripper"), action_keys=("arm", "gripper"), mode="min_max")


def network_of(head: dict[str, Any], **settings: Any) -> GrootNetwork:
    eagle = EagleConfig(VISION, LANGUAGE, image_token=300)
    config = GrootConfig(eagle=eagle, head=FlowMatchingDitConfig(**head), **settings)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return GrootNetwork(config, NetworkShape(2, 8, 8, head["horizon"])).eval()


def weights_of(head: dict[str, Any] = HEAD) -> dict[str, Tensor]:
    """Of one of the two tables of tokens there is none, as safetensors keeps them; and nothing shares memory."""
    weights = {name: tensor.clone() for name, tensor in network_of(head).state_dict().items()}
    del weights[TABLES[0]]
    return weights


def nvidia_config(**changes: Any) -> dict[str, Any]:
    head = {
        "backbone_embedding_dim": 64,
        "hidden_size": 16,
        "input_embedding_dim": 48,
        "max_action_dim": 10,
        "action_dim": 10,
        "action_horizon": 6,
        "max_state_dim": 12,
        "num_target_vision_tokens": 3,
        "max_num_embodiments": 32,
        "num_inference_timesteps": 4,
        "num_timestep_buckets": 1000,
        "noise_beta_alpha": 1.5,
        "noise_beta_beta": 1.0,
        "noise_s": 0.999,
        "use_vlln": True,
        "add_pos_embed": True,
        "max_seq_len": 20,
        "diffusion_model_cfg": {
            "num_attention_heads": 1,
            "attention_head_dim": 48,
            "num_layers": 2,
            "output_dim": 16,
            "cross_attention_dim": 64,
            "interleave_self_attention": True,
            "norm_type": "ada_norm",
            "dropout": 0.2,
            "positional_embeddings": None,
        },
        "vl_self_attention_cfg": {"num_attention_heads": 1, "attention_head_dim": 64, "num_layers": 1},
    }
    backbone = {"select_layer": 12, "project_to_dim": None, "reproject_vision": False}
    return {
        "model_type": "gr00t_n1_5",
        "architectures": ["GR00T_N1_5"],
        "action_head_cfg": {**head, **changes},
        "backbone_cfg": backbone,
    }


def statistics(size: int, rng: np.random.Generator) -> dict[str, list[float]]:
    low = rng.uniform(-2, -1, size)
    numbers = {"min": low, "max": -low, "mean": 0 * low, "std": -low, "q01": 0.9 * low, "q99": -0.9 * low}
    return {name: values.tolist() for name, values in numbers.items()}


def metadata() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    vectors = {key: {"shape": [size], "absolute": True, "rotation_type": None} for key, size in KEYS.items()}
    videos = {role: {"resolution": [32, 24], "channels": 3, "fps": 30.0} for role in ("scene", "wrist")}
    return {
        "new_embodiment": {
            "statistics": {
                modality: {key: statistics(size, rng) for key, size in KEYS.items()} for modality in ("state", "action")
            },
            "modalities": {"video": videos, "state": vectors, "action": vectors},
            "embodiment_tag": "new_embodiment",
        }
    }


def write_json(path: Path, data: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(data))


@pytest.fixture
def nvidia(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    weights = weights_of()
    files = {name: f"model-0000{1 + index % 2}-of-00002.safetensors" for index, name in enumerate(weights)}
    for file in set(files.values()):
        write_weights(folder / file, {name: weights[name] for name in weights if files[name] == file})
    write_json(folder / INDEX_FILE, {"weight_map": files})
    write_json(folder / "config.json", nvidia_config())
    write_json(folder / "experiment_cfg" / "metadata.json", metadata())
    return folder


@pytest.fixture
def lerobot(tmp_path: Path) -> Path:
    folder = tmp_path / "lerobot"
    folder.mkdir()
    weights = {f"_groot_model.{name}": tensor for name, tensor in weights_of().items() if not name.startswith(POOLING)}
    short = {name.replace(".vision_model.vision_model.", ".vision_model."): tensor for name, tensor in weights.items()}
    write_weights(folder / WHOLE_FILE, short)
    image = {"type": "VISUAL", "shape": [3, 24, 32]}
    config = {
        "type": "groot",
        "base_model_path": "nvidia/GR00T-N1.5-3B",
        "chunk_size": 50,
        "input_features": {
            "observation.images.wrist": image,
            "observation.images.scene": image,
            "observation.state": {"type": "STATE", "shape": [8]},
        },
        "output_features": {"action": {"type": "ACTION", "shape": [8]}},
    }
    write_json(folder / "config.json", config)
    steps = {"pre": "groot_pack_inputs_v3", "post": "groot_action_unpack_unnormalize_v1"}
    for name, feature in (("pre", "observation.state"), ("post", "action")):
        file = f"policy_{name}processor_step_0_{steps[name]}.safetensors"
        stats = {f"{feature}.min": torch.full((8,), -2.0), f"{feature}.max": torch.linspace(-2.0, 2.0, 8)}
        write_weights(folder / file, stats)
        step = {"registry_name": steps[name], "config": {"embodiment_tag": "so100"}, "state_file": file}
        others = [{"registry_name": "device_processor", "config": {}}]
        write_json(folder / f"policy_{name}processor.json", {"steps": [step, *others]})
    return folder


@pytest.fixture
def tokenizer(tmp_path: Path) -> str:
    vocabulary = {character: byte for byte, character in enumerate(_byte_characters())}
    added = [{"id": 300, "content": "<IMG_CONTEXT>"}]
    write_json(tmp_path / "tokenizer.json", {"model": {"vocab": vocabulary, "merges": []}, "added_tokens": added})
    return str(tmp_path / "tokenizer.json")


def change(path: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    data = json.loads(path.read_text())
    edit(data)
    path.write_text(json.dumps(data))


def inputs() -> NetworkInputs:
    generator = torch.Generator().manual_seed(1)
    images = tuple(torch.rand(1, 3, 24, 32, generator=generator) for _ in range(2))
    return NetworkInputs(images, torch.rand(1, 8, generator=generator), ("pick it",))


def test_nvidias_folder(nvidia, embodiment: Embodiment) -> None:
    assert is_groot(nvidia)
    checkpoint = read_groot(nvidia, embodiment, told=TOLD)
    config = checkpoint.config
    assert list(config.spec.cameras) == ["scene", "wrist"]
    assert config.spec.action_horizon == 6
    expected = weights_of()
    assert checkpoint.weights.keys() == expected.keys() | {TABLES[0]}
    assert all(torch.equal(checkpoint.weights[name], tensor) for name, tensor in expected.items())
    stats = metadata()["new_embodiment"]["statistics"]["action"]
    lowest = np.array(stats["arm"]["min"] + stats["gripper"]["min"])
    assert config.normalisation["action"].inverse(-np.ones((1, 8)))[0] == pytest.approx(lowest)
    assert config.network["embodiment"] == 31


def test_it_acts_as_the_network_that_was_written(nvidia, tokenizer, embodiment, tmp_path) -> None:
    told = GrootTold(tokenizer, state_keys=TOLD.state_keys, action_keys=TOLD.action_keys, mode="min_max")
    checkpoint = read_groot(nvidia, embodiment, told=told)
    expected = network_of(HEAD, tokenizer=tokenizer).predict(inputs())
    torch.testing.assert_close(checkpoint.network().predict(inputs()), expected, rtol=0.0, atol=1e-6)
    write_checkpoint(tmp_path / "ours", checkpoint)
    again = read_checkpoint(tmp_path / "ours").network()
    torch.testing.assert_close(again.predict(inputs()), expected, rtol=0.0, atol=1e-6)


def test_lerobots_folder(lerobot, embodiment: Embodiment) -> None:
    assert is_groot(lerobot)
    checkpoint = read_groot(lerobot, embodiment)
    assert list(checkpoint.config.spec.cameras) == ["scene", "wrist"]  # in the order of the alphabet
    # config.json has no sizes of the head; what shapes do not say has the published value
    assert checkpoint.config.network["head"]["horizon"] == 16
    assert checkpoint.config.spec.action_horizon == 16
    assert checkpoint.config.network["embodiment"] == 2
    assert checkpoint.config.network["image_crop"] == 1.0
    expected = weights_of()
    for name, tensor in expected.items():
        found = checkpoint.weights[name]
        assert torch.equal(found, torch.zeros_like(tensor) if name.startswith(POOLING) else tensor), name
    action = checkpoint.config.normalisation["action"]
    still, moving = action.inverse(np.ones((1, 8)))[0, [0, 7]]
    assert (still, moving) == (-2.0, 2.0)


def test_it_is_described_and_converted_as_every_checkpoint(nvidia, embodiment, tmp_path) -> None:
    told = Told(embodiment, name="mine", details=DETAILS)
    described = vla_policies.describe(nvidia, told)
    assert (described["container"], described["family"], described["head"]) == ("groot", "groot", "flow_matching_dit")
    assert described["cameras"] == {"scene": "32x24", "wrist": "32x24"}
    convert(nvidia, tmp_path / "ours", told=told)
    ours = read_checkpoint(tmp_path / "ours")
    assert ours.config.name == "mine"
    # tables that share their memory in a network are two in a file
    assert torch.equal(ours.weights[TABLES[0]], ours.weights[TABLES[1]])
    with pytest.raises(MissingInformation, match="expected --embodiment"):
        vla_policies.describe(nvidia)
    with pytest.raises(CheckpointError, match=r"may be told .*, found 'colour'"):
        vla_policies.describe(nvidia, Told(embodiment, details={"colour": "red"}))


@pytest.mark.parametrize("which", ["nvidia", "lerobot"])
def test_it_is_loaded_as_it_is(which, request, tokenizer, embodiment, observation, tmp_path) -> None:
    details = {**(DETAILS if which == "nvidia" else {}), "tokenizer": tokenizer}
    told = Told(embodiment, details=details)
    folder = request.getfixturevalue(which)
    require_loaded_as_converted(folder, told, observation, tmp_path, "GR00T (NVIDIA's or LeRobot's)")


def test_decoders_for_arm_and_claw_are_recognised(nvidia, embodiment) -> None:
    for shard in nvidia.glob("*.safetensors"):
        shard.unlink()
    (nvidia / INDEX_FILE).unlink()
    head = {**HEAD, "decoder": "arm_claw", "arm_dim": 7, "claw_dim": 1, "loss_weighting": "uncertainty"}
    write_weights(nvidia / WHOLE_FILE, weights_of(head))
    told = GrootTold(state_keys=TOLD.state_keys, action_keys=TOLD.action_keys, mode="min_max", pad_noise="keep")
    found = read_groot(nvidia, embodiment, told=told).config.network["head"]
    assert {key: found[key] for key in ("decoder", "arm_dim", "claw_dim", "loss_weighting", "pad_noise")} == {
        "decoder": "arm_claw",
        "arm_dim": 7,
        "claw_dim": 1,
        "loss_weighting": "uncertainty",
        "pad_noise": "keep",
    }


def test_every_key_may_have_a_mode_of_its_own(nvidia, embodiment) -> None:
    modes = {"action.gripper": "binary", "state.arm": "mean_std"}
    told = GrootTold(state_keys=TOLD.state_keys, action_keys=TOLD.action_keys, mode="q99", modes=modes)
    found = read_groot(nvidia, embodiment, told=told).config.normalisation
    assert [part.scheme for part in found["qpos"].parts] == ["groot_mean_std", "groot_q99"]
    assert [part.scheme for part in found["action"].parts] == ["groot_q99", "groot_binary"]


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (
            GrootTold(),
            "does not say in which order its keys make up a state; expected state_keys, of 'arm' or 'gripper'",
        ),
        (
            GrootTold(state_keys=("arm", "gripper")),
            "does not say how 'state.arm' is normalised; expected mode, or modes with 'state.arm', 'min_max'",
        ),
    ],
)
def test_what_the_folder_does_not_say_is_asked_for(told, message, nvidia, embodiment) -> None:
    with pytest.raises(MissingInformation, match=message):
        read_groot(nvidia, embodiment, told=told)


def test_of_several_embodiments_one_is_asked_for(nvidia, embodiment) -> None:
    path = nvidia / "experiment_cfg" / "metadata.json"
    change(path, lambda data: data.update(gr1=data["new_embodiment"], mine=data["new_embodiment"]))
    with pytest.raises(MissingInformation, match="expected embodiment_tag, one of 'new_embodiment', 'gr1' or 'mine'"):
        read_groot(nvidia, embodiment, told=TOLD)
    keys = {"state_keys": TOLD.state_keys, "action_keys": TOLD.action_keys, "mode": TOLD.mode}
    for told, row in (({"embodiment_tag": "gr1"}, 24), ({"embodiment_tag": "mine", "embodiment_row": 5}, 5)):
        assert read_groot(nvidia, embodiment, told=GrootTold(**keys, **told)).config.network["embodiment"] == row
    with pytest.raises(CheckpointError, match="or embodiment_row, found 'mine'"):
        read_groot(nvidia, embodiment, told=GrootTold(**keys, embodiment_tag="mine"))


@pytest.mark.parametrize(
    ("config", "version"),
    [
        ({"model_type": "gr00t_n1", "architectures": ["GR00T_N1"]}, "N1,"),
        ({"model_type": "Gr00tN1d6", "architectures": ["Gr00tN1d6"]}, "N1.6"),
        ({"model_type": "Gr00tN1d7"}, "N1.7"),
        ({"type": "groot", "base_model_path": "nvidia/GR00T-N1.7-3B"}, "N1.7"),
        ({"type": "groot", "model_version": "n1.7", "base_model_path": "/somewhere"}, "N1.7"),
    ],
)
def test_other_versions_are_refused_by_name(config, version, tmp_path, embodiment) -> None:
    write_json(tmp_path / "config.json", config)
    assert is_groot(tmp_path)
    with pytest.raises(
        CheckpointError, match=f"expected GR00T N1.5, found {version}.* which is another network"
    ) as caught:
        read_groot(tmp_path, embodiment)
    assert "not supported" in str(caught.value)


def test_variants_are_refused(tmp_path, embodiment) -> None:
    write_json(tmp_path / "config.json", {"model_type": "gr00t_n1_5_other"})
    with pytest.raises(CheckpointError, match=r"expected the model_type 'gr00t_n1_5' \(GR00T N1.5\), found"):
        read_groot(tmp_path, embodiment)


def test_other_policies_are_none_of_them(tmp_path) -> None:
    assert not is_groot(tmp_path)
    write_json(tmp_path / "config.json", {"type": "act"})
    assert not is_groot(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_state_dim": None}, "head.state_dim: expected a valid integer, found None"),
        ({"noise_beta_beta": 2.0}, "action_head_cfg.noise_beta_beta: expected 1.0, found 2.0"),
        ({"input_embedding_dim": 50}, "input_embedding_dim: expected 48, found 50"),
        ({"backbone_embedding_dim": "wide"}, "backbone_embedding_dim: expected a number from 1 on, found 'wide'"),
        (
            {"diffusion_model_cfg": nvidia_config()["action_head_cfg"]["diffusion_model_cfg"] | {"num_layers": 10**9}},
            "head.layers: expected 2, as the weights have, found 1000000000",
        ),
        ({"diffusion_model_cfg": 3}, "diffusion_model_cfg.num_attention_heads: missing"),
        ({"action_dim": 9, "max_action_dim": 9}, "action_head.action_encoder.W1.W: expected"),
    ],
)
def test_other_settings_are_refused(changes, message, nvidia, embodiment) -> None:
    write_json(nvidia / "config.json", nvidia_config(**changes))
    with pytest.raises(CheckpointError, match=message):
        read_any(nvidia, Told(embodiment, details=DETAILS))


def damage_statistics(data: dict[str, Any]) -> None:
    data["new_embodiment"]["statistics"]["action"]["arm"]["max"][3] = float("nan")


def rotate(data: dict[str, Any]) -> None:
    data["new_embodiment"]["modalities"]["action"]["arm"]["rotation_type"] = "axis_angle"


def shorten(data: dict[str, Any]) -> None:
    for values in data["new_embodiment"]["statistics"]["action"]["arm"].values():
        values.pop()


def without_resolution(data: dict[str, Any]) -> None:
    data["new_embodiment"]["modalities"]["video"]["scene"].pop("resolution")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (damage_statistics, "statistics of 'action.arm': expected finite min and max"),
        (rotate, r"action.arm: is a rotation \(axis_angle\)"),
        (without_resolution, "video.scene: expected its resolution, found None"),
        (lambda data: data["new_embodiment"].pop("statistics"), "new_embodiment.statistics: expected keys, found None"),
        (lambda data: data.update(new_embodiment=[]), "new_embodiment.statistics: expected keys, found None"),
    ],
)
def test_unusable_metadata_are_refused(edit, message, nvidia, embodiment) -> None:
    change(nvidia / "experiment_cfg" / "metadata.json", edit)
    with pytest.raises(CheckpointError, match=message):
        read_groot(nvidia, embodiment, told=TOLD)


def test_a_robot_with_other_dimensions_is_refused(nvidia, embodiment) -> None:
    change(nvidia / "experiment_cfg" / "metadata.json", shorten)
    with pytest.raises(EmbodimentMismatch, match=r"actions: 'fr3_sim' has the 8 dimensions .*, it has 7"):
        read_groot(nvidia, embodiment, told=TOLD)


def test_a_camera_that_is_not_there_is_named(nvidia, embodiment) -> None:
    with pytest.raises(EmbodimentMismatch, match="needs the camera 'left'; 'fr3_sim' has 'scene' or 'wrist'"):
        read_groot(nvidia, embodiment, ["left", "wrist"], TOLD)
    with pytest.raises(
        CheckpointError, match=r"expected a camera role for each of \['scene', 'wrist'\], found \['scene'\]"
    ):
        read_groot(nvidia, embodiment, ["scene"], TOLD)


def test_files_that_are_missing_or_damaged_are_named(nvidia, embodiment) -> None:
    shard = next(iter(sorted(nvidia.glob("*.safetensors"))))
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="expected a whole safetensors file"):
        read_groot(nvidia, embodiment, told=TOLD)
    shard.write_bytes((1 << 60).to_bytes(8, "little") + whole[8:])  # a header that claims to be huge
    with pytest.raises(CheckpointError, match="expected a whole safetensors file"):
        read_groot(nvidia, embodiment, told=TOLD)
    shard.unlink()
    with pytest.raises(CheckpointError, match=r"safetensors: cannot be read"):
        read_groot(nvidia, embodiment, told=TOLD)
    (nvidia / "experiment_cfg" / "metadata.json").unlink()
    with pytest.raises(CheckpointError, match=r"metadata\.json: cannot be read"):
        read_groot(nvidia, embodiment, told=TOLD)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        (
            "backbone.eagle_model.vision_model.vision_model.embeddings.patch_embedding.weight",
            "expected a tensor '.*patch_emb",
        ),
        ("action_head.vlln.weight", "missing: action_head.vlln.weight"),
    ],
)
def test_missing_tensors_are_named(missing, message, nvidia, embodiment) -> None:
    weights = weights_of()
    del weights[missing]
    (nvidia / INDEX_FILE).unlink()
    write_weights(nvidia / WHOLE_FILE, weights)
    with pytest.raises(CheckpointError, match=message):
        read_any(nvidia, Told(embodiment, details=DETAILS))


def test_a_layer_of_a_huge_number_makes_no_huge_network(nvidia, embodiment) -> None:
    weights = weights_of()
    layer = "backbone.eagle_model.language_model.model.layers."
    weights |= {name.replace(f"{layer}1.", f"{layer}999999999."): tensor for name, tensor in weights.items()}
    (nvidia / INDEX_FILE).unlink()
    write_weights(nvidia / WHOLE_FILE, {name: tensor.clone() for name, tensor in weights.items()})
    with pytest.raises(CheckpointError, match="the weights do not fit the network"):
        read_any(nvidia, Told(embodiment, details=DETAILS))


def remove_state_file(data: dict[str, Any]) -> None:
    data["steps"][0].pop("state_file")


def newer_step(data: dict[str, Any]) -> None:
    data["steps"][0]["registry_name"] = "groot_action_unpack_unnormalize_v2"


@pytest.mark.parametrize(
    ("file", "edit", "message"),
    [
        ("policy_preprocessor.json", remove_state_file, "expected min and max of 'observation.state'"),
        ("policy_postprocessor.json", newer_step, "found .'groot_action_unpack_unnormalize_v2'"),
        ("policy_preprocessor.json", lambda data: data.pop("steps"), "steps: expected a list of steps, found None"),
        ("config.json", lambda data: data.pop("chunk_size"), "chunk_size: expected int, found nothing"),
        (
            "config.json",
            lambda data: data["output_features"].clear(),
            "expected one vector 'action' of the type ACTION",
        ),
    ],
)
def test_unusable_files_of_lerobot_are_refused(file, edit, message, lerobot, embodiment) -> None:
    change(lerobot / file, edit)
    with pytest.raises(CheckpointError, match=message):
        read_groot(lerobot, embodiment)
