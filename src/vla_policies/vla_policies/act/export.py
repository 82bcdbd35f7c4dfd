"""Writes ACT policies as LeRobot or the original code would have: the way back from ``lerobot.py`` and ``original.py``.

What such a checkpoint cannot say (names, units, rate; for the original also heads and cameras) is lost, and a policy that their
networks cannot be is refused.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vla_core import config as configuration
from vla_core.errors import CheckpointError
from vla_policies.act.config import ActConfig
from vla_policies.act.keys import ORIGINAL_DECODER_LAYERS, to_layout
from vla_policies.act.lerobot import HYPER_PARAMETERS, IMAGES, STATE
from vla_policies.act.original import STATS_FILE
from vla_policies.checkpoint import Checkpoint, PolicyConfig
from vla_policies.formats.lerobot import write_lerobot
from vla_policies.normalisation import IMAGENET, Normalisation, NormStats, SchemeName
from vla_policies.pipeline import ACTION

ORIGINAL_FILE = "policy_best.ckpt"

# The schemes differ by LeRobot's 1e-8 that is added to a standard deviation. From here on that is less than 1e-5 of it.
SMALLEST_COMMON_STD = 1e-3
_COMMON_SCHEMES = ("identity", "act_mean_std", "lerobot_mean_std")
_IMAGENET_TOLERANCE = 1e-6  # its constants may have been rounded to 32 bits

Difference = tuple[str, object, object]  # what, expected, found


def write_lerobot_act(folder: Path, checkpoint: Checkpoint) -> None:
    """Writes a policy folder of LeRobot (``config.json``, ``model.safetensors``, processors) into an existing folder.

    Raises:
        CheckpointError: LeRobot's ACT cannot be this policy, or a file cannot be written.
    """
    config = checkpoint.config
    differences = [*_common_differences(config), *_scheme_differences(config, "lerobot_mean_std")]
    _refuse(config, "LeRobot's ACT", differences)
    features, keys = _features(config), _keys(config)
    modes = {
        kind: _mode([config.normalisation[key] for feature, key in keys.items() if features[feature]["type"] == kind])
        for kind in ("VISUAL", "STATE", "ACTION")
    }
    stats = {
        feature: _stats(config.normalisation[key], features[feature]["shape"][0])
        for feature, key in keys.items()
        if modes[features[feature]["type"]] == "MEAN_STD"
    }
    settings = {
        **_lerobot_settings(config),
        "input_features": {name: feature for name, feature in features.items() if name != ACTION},
        "output_features": {ACTION: features[ACTION]},
        "normalization_mapping": modes,
    }
    write_lerobot(folder, settings, to_layout(checkpoint.weights, "lerobot"), stats)


def write_original(folder: Path, checkpoint: Checkpoint) -> None:
    """Writes ``policy_best.ckpt`` and ``dataset_stats.pkl`` of tonyzhaozh/act into an existing folder.

    Raises:
        CheckpointError: the original's network cannot be this policy, or a file cannot be written.
    """
    config = checkpoint.config
    differences = [
        *_common_differences(config),
        *_original_differences(config),
        *_scheme_differences(config, "act_mean_std"),
    ]
    _refuse(config, "the original ACT", differences)
    sizes = {"qpos": len(config.spec.state_names(config.embodiment)), ACTION: len(config.embodiment.action_names)}
    stats = {key: _stats(config.normalisation[key], size) for key, size in sizes.items()}
    arrays = {f"{key}_mean": np.array(found.mean) for key, found in stats.items()}
    arrays |= {f"{key}_std": np.array(found.std) for key, found in stats.items()}
    try:
        torch.save(to_layout(checkpoint.weights, "original"), folder / ORIGINAL_FILE)
        (folder / STATS_FILE).write_bytes(_pickled_for_every_numpy(arrays))
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{folder}: cannot be written ({error})") from error


def original_settings(config: PolicyConfig) -> dict[str, Any]:
    """What the original code must be told about a checkpoint of it, by its own names."""
    network = _network(config)
    return {
        "camera_names": list(config.spec.cameras),
        "state_dim": len(config.embodiment.action_names),
        "chunk_size": config.spec.action_horizon,
        "hidden_dim": network.hidden_dim,
        "dim_feedforward": network.feedforward_dim,
        "enc_layers": network.encoder_layers,
        "dec_layers": ORIGINAL_DECODER_LAYERS,
        "nheads": network.heads,
        "latent_dim": network.latent_dim,
        "pre_norm": network.pre_norm,
    }


def _network(config: PolicyConfig) -> ActConfig:
    return configuration.from_mapping(ActConfig, dict(config.network), f"{config.name}: network")


def _lerobot_settings(config: PolicyConfig) -> dict[str, Any]:
    network = _network(config)
    return {
        "type": "act",
        "n_obs_steps": 1,
        "chunk_size": config.spec.action_horizon,
        "n_action_steps": config.spec.action_horizon,
        "temporal_ensemble_coeff": None,
        "vision_backbone": network.backbone,
        "pretrained_backbone_weights": None,  # this checkpoint holds them; a name would make LeRobot download others first
        "replace_final_stride_with_dilation": False,
        **{theirs: getattr(network, ours) for theirs, ours in HYPER_PARAMETERS.items()},
        "dropout": network.dropout,
        "kl_weight": network.kl_weight,
        "feedforward_activation": network.activation,
        "pre_norm": network.pre_norm,
        "use_vae": network.use_cvae,
    }


def _keys(config: PolicyConfig) -> dict[str, str]:
    """LeRobot's feature to our key of the normalisation."""
    return {STATE: "qpos", **{IMAGES + role: role for role in config.spec.cameras}, ACTION: ACTION}


def _features(config: PolicyConfig) -> dict[str, dict[str, Any]]:
    images = {
        IMAGES + role: {"type": "VISUAL", "shape": [3, size.height, size.width]}
        for role, size in config.spec.cameras.items()
    }
    return {
        STATE: {"type": "STATE", "shape": [len(config.spec.state_names(config.embodiment))]},
        **images,
        ACTION: {"type": "ACTION", "shape": [len(config.embodiment.action_names)]},
    }


def _mode(normalisations: Sequence[Normalisation]) -> str:
    """LeRobot has one mode for all features of a type."""
    return "IDENTITY" if all(found.stats is None for found in normalisations) else "MEAN_STD"


def _stats(normalisation: Normalisation, size: int) -> NormStats:
    """The statistics; of what is not normalised, those that change nothing."""
    return normalisation.stats or NormStats((0.0,) * size, (1.0,) * size)


def _refuse(config: PolicyConfig, what: str, differences: Sequence[Difference]) -> None:
    lines = [f"{key}: expected {expected}, found {found}" for key, expected, found in differences if expected != found]
    if lines:
        heading = f"{config.name}: cannot be written for {what}, which has no such policy:"
        raise CheckpointError("\n  ".join([heading, *lines]))


def _common_differences(config: PolicyConfig) -> list[Difference]:
    network = _network(config)
    return [
        ("backbone", "resnet18", network.backbone),
        ("image_tokens", "feature_map", network.image_tokens),
        ("backbones", 1, len(config.spec.cameras) if network.backbone_per_camera else 1),
        ("proprioception", ["qpos"], list(config.spec.proprioception)),
        ("action_reference", "absolute", config.spec.action_reference),
    ]


def _original_differences(config: PolicyConfig) -> list[Difference]:
    network = _network(config)
    imagenet = [
        (f"normalisation.{role}", "ImageNet's constants", "others")
        for role in config.spec.cameras
        if not _is_imagenet(config.normalisation[role])
    ]
    return [
        ("use_cvae", True, network.use_cvae),
        ("decoder_layers", 1, network.decoder_layers),
        ("style_encoder_layers", network.encoder_layers, network.style_encoder_layers),
        ("activation", "relu", network.activation),
        *imagenet,
    ]


def _is_imagenet(normalisation: Normalisation) -> bool:
    expected, found = IMAGENET.stats, normalisation.stats
    assert expected is not None
    return (
        found is not None
        and bool(found.mean)
        and np.allclose((found.mean, found.std), (expected.mean, expected.std), rtol=0.0, atol=_IMAGENET_TOLERANCE)
    )


def _scheme_differences(config: PolicyConfig, scheme: SchemeName) -> list[Difference]:
    """Keys whose numbers would change with the other scheme."""
    others: list[Difference] = [
        (f"normalisation.{key}", scheme, found.scheme)
        for key, found in config.normalisation.items()
        if found.scheme not in _COMMON_SCHEMES
    ]
    return others or [
        (
            f"normalisation.{key}: smallest std with '{found.scheme}'",
            f"at least {SMALLEST_COMMON_STD}",
            min(found.stats.std),
        )
        for key, found in config.normalisation.items()
        if found.stats is not None and found.scheme != scheme and min(found.stats.std) < SMALLEST_COMMON_STD
    ]


def _pickled_for_every_numpy(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """A pickle that numpy 1, with which the original code was written, reads as well as numpy 2.

    numpy 2 names its functions by where they are now; numpy 1 only knows their former place, which both do.
    """
    # protocol 3 writes names as plain text, and it is the last one that does
    return pickle.dumps(dict(arrays), protocol=3).replace(b"cnumpy._core.", b"cnumpy.core.")
