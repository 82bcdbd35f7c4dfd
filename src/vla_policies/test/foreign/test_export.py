"""Policies written for LeRobot and for the original code: read back they are the same, bit for bit."""

from __future__ import annotations

import dataclasses
import json
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from vla_core.errors import CheckpointError
from vla_policies.checkpoint import Checkpoint, write_checkpoint
from vla_policies.containers import Told, convert, read_any
from vla_policies.normalisation import Normalisation, NormStats

RESNET = {
    "backbone": "resnet18",
    "image_tokens": "feature_map",
    "use_cvae": True,
    "encoder_layers": 2,
    "style_encoder_layers": 2,
    "latent_dim": 4,
}


@pytest.fixture(scope="module")
def policy(embodiment, make_checkpoint) -> Checkpoint:
    """One that both could have trained; every number of its statistics needs 64 bits."""
    rng = np.random.default_rng(3)
    checkpoint = make_checkpoint(embodiment, **RESNET)
    vectors = {
        key: Normalisation("act_mean_std", NormStats(tuple(rng.normal(size=8)), tuple(rng.uniform(0.01, 1.0, 8))))
        for key in ("qpos", "action")
    }
    normalisation = {**checkpoint.config.normalisation, **vectors}
    return Checkpoint(dataclasses.replace(checkpoint.config, normalisation=normalisation), checkpoint.weights)


def with_config(checkpoint: Checkpoint, **changes) -> Checkpoint:
    return Checkpoint(dataclasses.replace(checkpoint.config, **changes), checkpoint.weights)


def with_normalisation(checkpoint: Checkpoint, **changes) -> Checkpoint:
    return with_config(checkpoint, normalisation={**checkpoint.config.normalisation, **changes})


def there_and_back(checkpoint: Checkpoint, to, tmp_path) -> Checkpoint:
    write_checkpoint(tmp_path / "ours", checkpoint)
    convert(tmp_path / "ours", tmp_path / "theirs", to)
    robot, heads = checkpoint.config.embodiment, checkpoint.config.network["heads"]
    told = Told(robot, tuple(checkpoint.config.spec.cameras), heads) if to == "original" else Told(robot)
    return read_any(tmp_path / "theirs", told)


def require_equal_weights(found, expected) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor), name


def stats_of(checkpoint: Checkpoint) -> dict[str, NormStats | None]:
    return {key: found.stats for key, found in checkpoint.config.normalisation.items()}


def test_the_way_to_lerobot_and_back_changes_no_bit(policy, tmp_path) -> None:
    copy = there_and_back(policy, "lerobot", tmp_path)
    require_equal_weights(copy.weights, policy.weights)
    assert stats_of(copy) == stats_of(policy)
    assert copy.config.spec == policy.config.spec
    copy.network()
    network = {**copy.config.network}
    assert {key: network[key] for key in RESNET} == RESNET


@pytest.mark.parametrize(
    "changes", [{"use_cvae": False}, {"activation": "gelu", "pre_norm": True, "decoder_layers": 2}]
)
def test_every_network_of_lerobot_survives(changes, embodiment, make_checkpoint, tmp_path) -> None:
    policy = make_checkpoint(embodiment, **{**RESNET, **changes})
    copy = there_and_back(policy, "lerobot", tmp_path)
    require_equal_weights(copy.weights, policy.weights)
    assert {key: copy.config.network[key] for key in changes} == changes


@pytest.mark.parametrize("pre_norm", [False, True])
def test_the_way_to_the_original_and_back_changes_no_bit(pre_norm, embodiment, make_checkpoint, tmp_path) -> None:
    policy = make_checkpoint(embodiment, **RESNET, pre_norm=pre_norm, pad_head=True)
    copy = there_and_back(policy, "original", tmp_path)
    require_equal_weights(copy.weights, policy.weights)
    assert stats_of(copy) == stats_of(policy)
    assert copy.config.spec == policy.config.spec


def test_the_original_gets_a_head_that_its_loader_insists_on(policy, tmp_path) -> None:
    copy = there_and_back(policy, "original", tmp_path)
    added = {name: copy.weights[name] for name in copy.weights if name not in policy.weights}
    assert {name: tuple(tensor.shape) for name, tensor in added.items()} == {
        "pad_head.weight": (1, 32),
        "pad_head.bias": (1,),
    }
    require_equal_weights({name: copy.weights[name] for name in policy.weights}, policy.weights)


def test_statistics_for_the_original_are_read_by_every_numpy(policy, tmp_path) -> None:
    there_and_back(policy, "original", tmp_path)
    content = (tmp_path / "theirs" / "dataset_stats.pkl").read_bytes()
    assert b"numpy._core" not in content  # numpy 1 does not know it
    stats = pickle.loads(content)
    assert set(stats) == {"qpos_mean", "qpos_std", "action_mean", "action_std"}
    np.testing.assert_array_equal(stats["action_std"], policy.config.normalisation["action"].stats.std)


def test_a_checkpoint_of_lerobot_survives_ours(lerobot, robot, tmp_path) -> None:
    convert(lerobot, tmp_path / "ours", told=Told(robot))
    convert(tmp_path / "ours", tmp_path / "theirs", "lerobot")
    written = load_file(tmp_path / "theirs" / "model.safetensors")
    positions = written.pop("model.vae_encoder_pos_enc")  # computed, so not among the golden weights
    assert positions.shape == (1, 12, 64)
    require_equal_weights(written, load_file(lerobot / "model.safetensors"))
    before, after = (json.loads((folder / "config.json").read_text()) for folder in (lerobot, tmp_path / "theirs"))
    assert {key: after[key] for key in before} == before
    assert list(after["input_features"]) == [
        "observation.state",
        "observation.images.front",
        "observation.images.wrist",
    ]


def test_a_checkpoint_of_the_original_survives_ours(original, robot, act_golden, tmp_path) -> None:
    convert(original, tmp_path / "ours", told=Told(robot, ("front", "wrist"), 4))
    convert(tmp_path / "ours", tmp_path / "theirs", "original")
    written = torch.load(tmp_path / "theirs" / "policy_best.ckpt", weights_only=True)
    alive = {name: tensor for name, tensor in act_golden.weights.items() if ".decoder.layers." not in name}
    require_equal_weights({name: written[name] for name in alive}, alive)
    first = {name: tensor for name, tensor in act_golden.weights.items() if ".decoder.layers.0." in name}
    require_equal_weights({name: written[name] for name in first}, first)


def test_the_processors_of_lerobot_say_the_same_as_its_configuration(policy, tmp_path) -> None:
    there_and_back(policy, "lerobot", tmp_path)
    config = json.loads((tmp_path / "theirs" / "config.json").read_text())
    for name, step_name in (("preprocessor", "normalizer_processor"), ("postprocessor", "unnormalizer_processor")):
        steps = json.loads((tmp_path / "theirs" / f"policy_{name}.json").read_text())["steps"]
        (step,) = [step for step in steps if step["registry_name"] == step_name]
        assert step["config"]["norm_map"] == config["normalization_mapping"]
        state = load_file(tmp_path / "theirs" / step["state_file"])
        assert state["observation.images.wrist.mean"].shape == (3, 1, 1)
        assert state["action.std"].shape == (8,)


def test_what_is_not_normalised_stays_so(policy, tmp_path) -> None:
    identity = Normalisation("identity")
    mixed = with_normalisation(policy, qpos=identity, wrist=identity)
    copy = there_and_back(mixed, "lerobot", tmp_path)
    assert copy.config.normalisation["qpos"] == identity
    values = np.linspace(0.0, 1.0, 12).reshape(4, 3)
    for role in ("scene", "wrist"):  # LeRobot has one mode for all images
        np.testing.assert_allclose(
            copy.config.normalisation[role].forward(values), mixed.config.normalisation[role].forward(values), rtol=1e-7
        )


SMALL_STD = Normalisation("act_mean_std", NormStats((0.0,) * 8, (1e-4,) * 8))
GREY = Normalisation("act_mean_std", NormStats((0.5,) * 3, (0.5,) * 3))


@pytest.mark.parametrize(
    ("to", "network", "lines"),
    [
        ("lerobot", {"backbone": "small_cnn"}, ["backbone: expected resnet18, found small_cnn"]),
        ("original", {"image_tokens": "key_points"}, ["image_tokens: expected feature_map, found key_points"]),
        ("lerobot", {"backbone_per_camera": True}, ["backbones: expected 1, found 2"]),
        (
            "original",
            {"use_cvae": False, "decoder_layers": 2, "style_encoder_layers": 1, "activation": "gelu"},
            [
                "use_cvae: expected True, found False",
                "decoder_layers: expected 1, found 2",
                "style_encoder_layers: expected 2, found 1",
                "activation: expected relu, found gelu",
            ],
        ),
    ],
)
def test_a_network_that_theirs_cannot_be_is_refused_key_by_key(
    to, network, lines, embodiment, make_checkpoint, tmp_path
) -> None:
    with pytest.raises(CheckpointError) as caught:
        there_and_back(make_checkpoint(embodiment, **{**RESNET, **network}), to, tmp_path)
    assert str(caught.value).splitlines()[1:] == [f"  {line}" for line in lines]


@pytest.mark.parametrize(
    ("to", "changes", "message"),
    [
        ("original", {"wrist": GREY}, "normalisation.wrist: expected ImageNet's constants, found others"),
        (
            "lerobot",
            {"qpos": SMALL_STD},
            "normalisation.qpos: smallest std with 'act_mean_std': expected at least 0.001",
        ),
        (
            "original",
            {"action": dataclasses.replace(SMALL_STD, scheme="lerobot_mean_std")},
            "normalisation.action: smallest std with 'lerobot_mean_std': expected at least 0.001, found 0.0001",
        ),
    ],
)
def test_normalisation_that_would_mean_something_else_is_refused(to, changes, message, policy, tmp_path) -> None:
    with pytest.raises(CheckpointError) as caught:
        there_and_back(with_normalisation(policy, **changes), to, tmp_path)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"action_reference": "qpos"}, "action_reference: expected absolute, found qpos"),
        ({"proprioception": ("qpos", "qvel")}, r"proprioception: expected \['qpos'\], found \['qpos', 'qvel'\]"),
    ],
)
def test_inputs_and_outputs_that_theirs_do_not_have_are_refused(
    changes, message, embodiment, make_checkpoint, tmp_path
) -> None:
    policy = make_checkpoint(embodiment, **RESNET)
    spec = dataclasses.replace(policy.config.spec, **changes)
    stats = Normalisation("act_mean_std", NormStats((0.0,) * 8, (1.0,) * 8))
    weights = dict(policy.weights)
    size = 8 * len(spec.proprioception)
    for name in ("state_projection.weight", "style_encoder.state_projection.weight"):
        weights[name] = torch.zeros(32, size)
    changed = with_normalisation(Checkpoint(policy.config, weights), qvel=stats)
    with pytest.raises(CheckpointError, match=message):
        there_and_back(with_config(changed, spec=spec), "lerobot", tmp_path)
