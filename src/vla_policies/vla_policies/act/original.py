"""Checkpoints of tonyzhaozh/act: a ``.ckpt`` of weights and ``dataset_stats.pkl``. Neither is allowed to execute code."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from vla_core import config as configuration
from vla_core.embodiment import Embodiment
from vla_core.errors import CheckpointError, choice
from vla_policies import provenance
from vla_policies.act.config import ActConfig
from vla_policies.act.keys import from_layout, name_in
from vla_policies.checkpoint import Checkpoint, PolicyConfig, Provenance
from vla_policies.formats.foreign_config import config_of_foreign
from vla_policies.formats.restricted_pickle import read_arrays
from vla_policies.normalisation import IMAGENET, Normalisation, NormStats
from vla_policies.pipeline import ACTION
from vla_policies.spec import PolicySpec, image_size
from vla_policies.weights import read_torch_weights

STATS_FILE = "dataset_stats.pkl"

# The original normalises the first channel with ImageNet's numbers for red, whatever it is. With the input channels of the
# first convolution in reverse order too, RGB images give what BGR images gave.
_FIRST_CONVOLUTION = "backbones.0.conv1.weight"
_REVERSED_IMAGENET = Normalisation("act_mean_std", NormStats(mean=(0.406, 0.456, 0.485), std=(0.225, 0.224, 0.229)))


def read_original(
    path: Path | str,
    embodiment: Embodiment,
    cameras: Sequence[str],
    heads: int = 8,
    name: str = "act",
    bgr: bool = False,
) -> Checkpoint:
    """Reads a checkpoint of the original ACT, with the ``dataset_stats.pkl`` beside it.

    Such a checkpoint does not say everything, so the caller must.

    Args:
        path: the ``.ckpt`` file.
        embodiment: the robot that it was trained with; images are those of its cameras, at their own size.
        cameras: the roles in the order of its ``camera_names``.
        heads: attention heads (``nheads``).
        name: what to call the policy.
        bgr: it was trained on images with the channels blue, green, red. What is returned sees RGB, as every policy of ours.

    Raises:
        CheckpointError: a file is missing, damaged, or not of that format.
        EmbodimentMismatch: its state or actions are of another size than the robot's, or the robot has no such camera.
    """
    path = Path(path)
    weights = from_layout(read_torch_weights(path), "original")
    if bgr:
        weights[_FIRST_CONVOLUTION] = _shaped(weights, _FIRST_CONVOLUTION, 4, str(path)).flip(1)
    network = _hyper_parameters(weights, heads, str(path))
    if not cameras or len(set(cameras)) != len(cameras):
        raise CheckpointError(f"{path}: expected one or more cameras, each once, found {list(cameras)}")
    spec = PolicySpec(
        cameras={role: image_size(embodiment, role, str(path)) for role in cameras},
        proprioception=("qpos",),
        action_horizon=_shape(weights, "query_position", 2, str(path))[0],
    )
    state_dim = _shape(weights, "state_projection.weight", 2, str(path))[1]
    action_dim = _shape(weights, "head.projection.weight", 2, str(path))[0]
    spec.require_sizes(embodiment, state_dim, action_dim, str(path))
    return Checkpoint(
        PolicyConfig(
            schema="vla/policy/1",
            name=name,
            family="act",
            network=configuration.to_mapping(network),
            spec=spec,
            normalisation={
                **dict.fromkeys(cameras, _REVERSED_IMAGENET if bgr else IMAGENET),
                **_normalisation(path.parent / STATS_FILE),
            },
            provenance=Provenance(created=provenance.now(), source=str(path), versions=provenance.versions()),
            embodiment=embodiment,
        ),
        weights,
    )


def _hyper_parameters(weights: Mapping[str, Tensor], heads: int, where: str) -> ActConfig:
    """What names and shapes say about the network."""
    data: dict[str, Any] = {
        "hidden_dim": _shape(weights, "query_position", 2, where)[1],
        "feedforward_dim": _shape(weights, "encoder.layers.0.linear1.weight", 2, where)[0],
        "heads": heads,
        "encoder_layers": _layers(weights, "encoder.layers."),
        "latent_dim": _shape(weights, "latent_projection.weight", 2, where)[1],
        "pre_norm": "encoder.norm.weight" in weights,
        "use_cvae": "style_encoder.cls" in weights,
        "l1_denominator": "all",
        "pad_head": "pad_head.weight" in weights,
    }
    if data["use_cvae"]:
        data["style_encoder_layers"] = _layers(weights, "style_encoder.encoder.layers.")
    return config_of_foreign(ActConfig, data, where)


def _shape(weights: Mapping[str, Tensor], name: str, dimensions: int, where: str) -> tuple[int, ...]:
    return tuple(_shaped(weights, name, dimensions, where).shape)


def _shaped(weights: Mapping[str, Tensor], name: str, dimensions: int, where: str) -> Tensor:
    """One of the tensors, by our name, which must have so many dimensions."""
    theirs = name_in(name, "original")
    if name not in weights:
        raise CheckpointError(f"{where}: expected the weights of ACT, found none for '{theirs}'")
    if weights[name].dim() != dimensions:
        shape = tuple(weights[name].shape)
        raise CheckpointError(f"{where}: {theirs}: expected {dimensions} dimensions, found the shape {shape}")
    return weights[name]


def _layers(weights: Mapping[str, Tensor], prefix: str) -> int:
    numbers = [re.match(re.escape(prefix) + r"(\d+)\.", key) for key in weights]
    return 1 + max((int(found.group(1)) for found in numbers if found), default=-1)


def _normalisation(path: Path) -> dict[str, Normalisation]:
    stats = read_arrays(path)
    wanted = ("qpos_mean", "qpos_std", "action_mean", "action_std")
    missing = [key for key in wanted if key not in stats]
    if missing:
        raise CheckpointError(f"{path}: expected {choice(wanted)}, found {sorted(stats)}")
    try:
        return {
            key: Normalisation(
                "act_mean_std", NormStats(_tuple(stats[f"{file_key}_mean"]), _tuple(stats[f"{file_key}_std"]))
            )
            for key, file_key in (("qpos", "qpos"), (ACTION, "action"))
        }
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _tuple(values: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in values.ravel())
