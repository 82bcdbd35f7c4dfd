"""Checkpoints of tonyzhaozh/act give their own actions here; damaged, hostile and other ones are refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from vla_core.errors import CheckpointError, EmbodimentMismatch
from vla_policies.act.original import read_original

FRONT_AND_WRIST = ("front", "wrist")


def change_weights(path: Path, change) -> None:
    weights = torch.load(path, weights_only=True)
    change(weights)
    torch.save(weights, path)


def test_an_original_checkpoint_gives_its_own_actions(original, robot, require_golden_actions) -> None:
    checkpoint = read_original(original, robot, FRONT_AND_WRIST, heads=4)
    require_golden_actions(checkpoint)


def test_a_checkpoint_of_bgr_images_sees_rgb_here(original, robot, require_golden_actions) -> None:
    """The golden checkpoint, trained on images that are now BGR, must act on RGB images as it does on those."""
    checkpoint = read_original(original, robot, FRONT_AND_WRIST, heads=4, bgr=True)
    require_golden_actions(checkpoint, reverse_channels=True)
    with pytest.raises(AssertionError):
        require_golden_actions(checkpoint)


def test_cameras_in_another_order_are_another_policy(original, act_golden, robot) -> None:
    """One backbone for both cameras: their order is told by nothing but the caller."""
    checkpoint = read_original(original, robot, cameras=("wrist", "front"), heads=4)
    assert list(checkpoint.config.spec.cameras) == ["wrist", "front"]


def test_an_original_checkpoint_for_other_cameras_or_joints_is_refused(original, robot, embodiment, tmp_path) -> None:
    with pytest.raises(EmbodimentMismatch, match="needs the camera 'front'; 'fr3_sim' has 'scene' or 'wrist'"):
        read_original(original, embodiment, FRONT_AND_WRIST, heads=4)
    change_weights(original, lambda weights: weights.update({"model.action_head.weight": torch.zeros(14, 64)}))
    with pytest.raises(EmbodimentMismatch, match=r"actions: .* has the 8 dimensions .*, it has 14"):
        read_original(original, robot, FRONT_AND_WRIST, heads=4)


def test_norms_in_front_and_no_cvae_are_seen_in_the_weights(original, robot) -> None:
    norm = {f"model.transformer.encoder.norm.{name}": torch.ones(64) for name in ("weight", "bias")}
    change_weights(original, lambda weights: weights.update(norm))
    assert read_original(original, robot, FRONT_AND_WRIST, heads=4).config.network["pre_norm"] is True

    def without_style_encoder(weights) -> None:
        for key in [key for key in weights if key.startswith(("model.encoder", "model.cls", "model.latent_proj."))]:
            del weights[key]

    change_weights(original, without_style_encoder)
    checkpoint = read_original(original, robot, FRONT_AND_WRIST, heads=4)
    assert checkpoint.config.network["use_cvae"] is False
    checkpoint.network()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "model.query_embed.weight",
            torch.zeros(64),
            "model.query_embed.weight: expected 2 dimensions, found the shape",
        ),
        ("model.input_proj_robot_state.weight", None, "found none for 'model.input_proj_robot_state.weight'"),
        ("optimizer", {"lr": 1e-5}, "expected names with tensors, found 'optimizer' with a dict"),
        (
            "model.query_embed.weight",
            torch.full((10, 64), torch.nan),
            "expected finite weights, found NaN or infinity in",
        ),
    ],
)
def test_weights_that_are_none_of_act_are_refused(key, value, message, original, robot) -> None:
    change_weights(original, lambda weights: weights.update({key: value}) if value is not None else weights.pop(key))
    with pytest.raises(CheckpointError) as caught:
        read_original(original, robot, FRONT_AND_WRIST, heads=4)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("heads", "message"), [(5, "a multiple of 4 and of heads (5)"), (0, "heads: expected greater")]
)
def test_heads_that_cannot_be_are_refused(heads, message, original, robot) -> None:
    with pytest.raises(CheckpointError) as caught:
        read_original(original, robot, FRONT_AND_WRIST, heads=heads)
    assert message in str(caught.value)


@pytest.mark.parametrize("cameras", [(), ("front", "front")])
def test_cameras_must_be_named_each_once(cameras, original, robot) -> None:
    with pytest.raises(CheckpointError, match="expected one or more cameras, each once"):
        read_original(original, robot, cameras, heads=4)


def test_a_hostile_checkpoint_is_refused_and_not_executed(original, robot, hostile) -> None:
    torch.save({"model.action_head.weight": hostile}, original)
    with pytest.raises(CheckpointError, match=r"expected a file of weights and nothing else, .*system") as caught:
        read_original(original, robot, FRONT_AND_WRIST)
    assert "weights_only" not in str(caught.value)  # torch's advice: to read it without protection


def test_a_truncated_original_checkpoint_is_refused(original, robot) -> None:
    original.write_bytes(original.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="expected a file of weights"):
        read_original(original, robot, FRONT_AND_WRIST)


def test_a_checkpoint_of_another_network_is_refused(original, robot) -> None:
    torch.save({"model.fc.weight": torch.zeros(2, 2)}, original)
    with pytest.raises(CheckpointError, match="expected the weights of ACT, found none for"):
        read_original(original, robot, FRONT_AND_WRIST)


@pytest.mark.parametrize("key", ["qpos_std", "action_mean"])
def test_statistics_that_are_missing_or_unusable_are_refused(key, original, robot, foreign_stats) -> None:
    stats = original.parent / "dataset_stats.pkl"
    stats.write_bytes(pickle.dumps({name: value for name, value in foreign_stats.items() if name != key}))
    with pytest.raises(CheckpointError, match=f"expected .*'{key}'.* found"):
        read_original(original, robot, FRONT_AND_WRIST)
    stats.write_bytes(pickle.dumps({**foreign_stats, key: np.full(8, np.nan)}))
    with pytest.raises(CheckpointError, match="expected finite means and stds"):
        read_original(original, robot, FRONT_AND_WRIST)
    stats.unlink()
    with pytest.raises(CheckpointError, match=r"dataset_stats.pkl: cannot be read \(No such file"):
        read_original(original, robot, FRONT_AND_WRIST)
