"""Checkpoints of tonyzhaozh/act: a ``.ckpt`` of weights and ``dataset_stats.pkl``. Neither is allowed to execute code."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vla_core import config as configuration
from vla_core.embodiment import Embodiment
from vla_core.errors import CheckpointError, choice
from vla_policies import provenance
from vla_policies.act.config import ActConfig
from vla_policies.act.keys import from_layout
from vla_policies.checkpoint import Checkpoint, PolicyConfig, Provenance
from vla_policies.formats.restricted_pickle import read_arrays
from vla_policies.normalisation import IMAGENET, Normalisation, NormStats
from vla_policies.pipeline import ACTION
from vla_policies.spec import PolicySpec, image_size

STATS_FILE = "dataset_stats.pkl"


def read_original(
    path: Path | str, embodiment: Embodiment, cameras: Sequence[str], heads: int = 8, name: str = "act"
) -> Checkpoint:
    """Reads a checkpoint of the original ACT, with the ``dataset_stats.pkl`` beside it.

    Such a checkpoint does not say everything, so the caller must.

    Args:
        path: the ``.ckpt`` file.
        embodiment: the robot that it was trained with; images are those of its cameras, at their own size.
        cameras: the roles in the order of its ``camera_names``.
        heads: attention heads (``nheads``).
        name: what to call the policy.

    Raises:
        CheckpointError: a file is missing, damaged, or not of that format.
        EmbodimentMismatch: its state or actions are of another size than the robot's, or the robot has no such camera.
    """
    path = Path(path)
    weights = from_layout(_read_ckpt(path), "original")
    network = _hyper_parameters(weights, heads, str(path))
    spec = PolicySpec(
        cameras={role: image_size(embodiment, role, str(path)) for role in cameras},
        proprioception=("qpos",),
        action_horizon=len(weights["query_position"]),
    )
    state_dim, action_dim = weights["state_projection.weight"].shape[1], len(weights["head.projection.weight"])
    spec.require_sizes(embodiment, state_dim, action_dim, str(path))
    return Checkpoint(
        PolicyConfig(
            schema="vla/policy/1",
            name=name,
            family="act",
            network=configuration.to_mapping(network),
            spec=spec,
            normalisation=_normalisation(path.parent / STATS_FILE, cameras),
            provenance=Provenance(created=provenance.now(), source=str(path), versions=provenance.versions()),
            embodiment=embodiment,
        ),
        weights,
    )


def _read_ckpt(path: Path) -> Mapping[str, Tensor]:
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # a damaged file can make torch's reader raise nearly anything
        raise CheckpointError(f"{path}: expected a file of weights and nothing else: {error}") from error
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise CheckpointError(f"{path}: expected names with tensors, found a {type(weights).__name__}")
    return weights


def _hyper_parameters(weights: Mapping[str, Tensor], heads: int, where: str) -> ActConfig:
    """What the shapes say about the network."""
    try:
        return ActConfig(
            hidden_dim=weights["query_position"].shape[1],
            feedforward_dim=len(weights["encoder.layers.0.linear1.weight"]),
            heads=heads,
            encoder_layers=_layers(weights, "encoder.layers."),
            style_encoder_layers=_layers(weights, "style_encoder.encoder.layers."),
            latent_dim=weights["latent_projection.weight"].shape[1],
            l1_denominator="all",
            pad_head=True,
        )
    except KeyError as error:
        raise CheckpointError(f"{where}: expected the weights of ACT, found none for {error}") from error
    except ValueError as error:
        raise CheckpointError(f"{where}: {error}") from error


def _layers(weights: Mapping[str, Tensor], prefix: str) -> int:
    numbers = [re.match(re.escape(prefix) + r"(\d+)\.", key) for key in weights]
    return 1 + max((int(found.group(1)) for found in numbers if found), default=-1)


def _normalisation(path: Path, cameras: Sequence[str]) -> dict[str, Normalisation]:
    stats = read_arrays(path)
    wanted = ("qpos_mean", "qpos_std", "action_mean", "action_std")
    missing = [key for key in wanted if key not in stats]
    if missing:
        raise CheckpointError(f"{path}: expected {choice(wanted)}, found {sorted(stats)}")
    try:
        vectors = {
            key: Normalisation(
                "act_mean_std", NormStats(_tuple(stats[f"{file_key}_mean"]), _tuple(stats[f"{file_key}_std"]))
            )
            for key, file_key in (("qpos", "qpos"), (ACTION, "action"))
        }
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error
    return {**dict.fromkeys(cameras, IMAGENET), **vectors}


def _tuple(values: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in values.ravel())
