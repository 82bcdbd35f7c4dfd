"""ACT policies of LeRobot give their own actions here; what cannot be the same is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from vla_core.errors import CheckpointError, EmbodimentMismatch
from vla_policies.act.lerobot import read_lerobot_act


def change_json(path: Path, **changes) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("which", ["lerobot", "lerobot_of_old"])
def test_a_lerobot_policy_gives_its_own_actions(which, request, robot, require_golden_actions) -> None:
    checkpoint = read_lerobot_act(request.getfixturevalue(which), robot)
    require_golden_actions(checkpoint)


def test_a_compiled_policy_is_read_as_any_other(lerobot_of_old, robot) -> None:
    path = lerobot_of_old / "model.safetensors"
    plain = read_lerobot_act(lerobot_of_old, robot)
    save_file({f"_orig_mod.{name}": tensor for name, tensor in load_file(path).items()}, path)
    compiled = read_lerobot_act(lerobot_of_old, robot)
    assert compiled.config.normalisation == plain.config.normalisation
    assert compiled.weights.keys() == plain.weights.keys()


def test_image_features_are_given_roles_in_their_order(lerobot, robot) -> None:
    checkpoint = read_lerobot_act(lerobot, robot, cameras=("wrist", "front"))
    assert list(checkpoint.config.spec.cameras) == ["wrist", "front"]
    with pytest.raises(CheckpointError, match=r"expected a camera role for each of \['observation.images.front', "):
        read_lerobot_act(lerobot, robot, cameras=("wrist",))


def test_a_type_that_is_not_mentioned_is_not_normalised(lerobot, robot) -> None:
    change_json(lerobot / "config.json", normalization_mapping={"STATE": "MEAN_STD", "ACTION": "IDENTITY"})
    normalisation = read_lerobot_act(lerobot, robot).config.normalisation
    schemes = [normalisation[key].scheme for key in ("front", "qpos", "action")]
    assert schemes == ["identity", "lerobot_mean_std", "identity"]


def test_a_lerobot_policy_without_statistics_is_refused(lerobot_without_stats, robot) -> None:
    with pytest.raises(
        CheckpointError, match=r"expected mean and std of 'observation.images.front' .* found statistics of nothing"
    ):
        read_lerobot_act(lerobot_without_stats, robot)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"registry_name": "relative_actions_processor"}, "steps: expected 'device_processor', .* found 'relative_act"),
        ({"registry_name": "normalizer_processor", "config": {"eps": 0.1}}, "eps: expected 1e-08, found 0.1"),
        (
            {"registry_name": "normalizer_processor", "config": {"norm_map": {"STATE": "MIN_MAX"}}},
            "norm_map: expected .*MEAN_STD.* found {'STATE': 'MIN_MAX'}",
        ),
        ("a step", "steps: expected a list of steps, found"),
    ],
)
def test_a_processor_that_would_change_numbers_otherwise_is_refused(change, message, lerobot, robot) -> None:
    change_json(lerobot / "policy_preprocessor.json", steps=[change])
    with pytest.raises(CheckpointError, match=message):
        read_lerobot_act(lerobot, robot)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("type", "diffusion", "type: expected 'act', found 'diffusion'"),
        ("chunk_size", "ten", "chunk_size: expected int, found 'ten'"),
        ("chunk_size", 0, "chunk_size: expected at least 1, found 0"),
        ("vision_backbone", "resnet50", "vision_backbone: expected 'resnet18', found 'resnet50'"),
        ("replace_final_stride_with_dilation", True, "replace_final_stride_with_dilation: expected false"),
        ("n_obs_steps", 2, "n_obs_steps: expected 1, found 2"),
        ("feedforward_activation", "glu", "activation: expected 'relu' or 'gelu', found 'glu'"),
        (
            "normalization_mapping",
            {"VISUAL": "MIN_MAX"},
            "normalization_mapping.VISUAL: expected 'MEAN_STD' or 'IDENTITY'",
        ),
        ("input_features", {}, "expected at least one image"),
        (
            "output_features",
            {"action": {"type": "ACTION", "shape": 8}},
            "output_features.action: expected type and shape",
        ),
        (
            "output_features",
            {"action": {"type": "ACTION", "shape": [2, 4]}},
            "action: expected a vector's shape (n,), found (2, 4)",
        ),
    ],
)
def test_what_is_not_supported_is_refused_by_name(key, value, message, lerobot, robot) -> None:
    change_json(lerobot / "config.json", **{key: value})
    with pytest.raises(CheckpointError) as caught:
        read_lerobot_act(lerobot, robot)
    assert message in str(caught.value)


def test_a_lerobot_policy_for_another_robot_is_refused(lerobot, robot, embodiment) -> None:
    with pytest.raises(EmbodimentMismatch, match="needs the camera 'front'"):
        read_lerobot_act(lerobot, embodiment)
    config = json.loads((lerobot / "config.json").read_text())
    config["input_features"]["observation.state"]["shape"] = [14]
    (lerobot / "config.json").write_text(json.dumps(config))
    with pytest.raises(EmbodimentMismatch, match=r"state: .* has the 8 dimensions .*, it has 14"):
        read_lerobot_act(lerobot, robot)


def test_a_processor_does_not_lead_out_of_its_folder(lerobot, lerobot_stats, robot, tmp_path) -> None:
    outside = tmp_path / "outside.safetensors"
    save_file(lerobot_stats, outside)
    for which in ("preprocessor", "postprocessor"):
        path = lerobot / f"policy_{which}.json"
        data = json.loads(path.read_text())
        data["steps"][1]["state_file"] = "../outside.safetensors"
        path.write_text(json.dumps(data))
    with pytest.raises(CheckpointError, match=r"pretrained_model/outside.safetensors: cannot be read"):
        read_lerobot_act(lerobot, robot)
