"""What a checkpoint is, as plain data for people and for JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vla_core import config as configuration
from vla_policies.checkpoint import Checkpoint, PolicyConfig, weights_digest
from vla_policies.containers import NOTHING_TOLD, TITLES, Told, container_of, read_any, weights_file
from vla_policies.families import FAMILIES, hyper_parameters
from vla_policies.normalisation import Normalisation


def describe(path: Path | str, told: Told = NOTHING_TOLD) -> dict[str, Any]:
    """Describes a checkpoint in any container. It is read as a whole, so what is described can be loaded.

    Args:
        path: the checkpoint.
        told: what its container does not say.

    Raises:
        CheckpointError, ConfigError, EmbodimentMismatch: as :func:`vla_policies.containers.read_any`.
    """
    checkpoint = read_any(path, told)
    file = weights_file(path)
    config = checkpoint.config
    network = hyper_parameters(config.family, config.network, config.name)
    return {
        "name": config.name,
        "policy_id": f"{config.name}@{weights_digest(file)}",
        "container": container_of(path),
        "family": config.family,
        "head": _head(config),
        "network": configuration.to_mapping(network),
        "parameters": sum(parameter.numel() for parameter in checkpoint.skeleton().parameters()),
        "weights_bytes": file.stat().st_size,
        **_ends(checkpoint),
        "normalisation": {key: _plain(found) for key, found in config.normalisation.items()},
        **_origin(checkpoint),
    }


def summary(path: Path | str, checkpoint: Checkpoint) -> str:
    """What a path was found to hold, in one line."""
    config = checkpoint.config
    embodiment = config.embodiment
    return (
        f"{path}: a checkpoint of {TITLES[container_of(path)]}: {config.family} with the head {_head(config)}, "
        f"{config.spec.action_horizon} actions ({embodiment.action.kind}) at {embodiment.steps.rate_hz:g} Hz for "
        f"'{embodiment.name}', which sees {', '.join(config.spec.cameras) or 'no camera'}"
    )


def _head(config: PolicyConfig) -> str:
    return FAMILIES[config.family].head_for(hyper_parameters(config.family, config.network, config.name))


def _ends(checkpoint: Checkpoint) -> dict[str, Any]:
    """What goes in and what comes out."""
    embodiment, spec = checkpoint.config.embodiment, checkpoint.config.spec
    groups = {group: embodiment.proprioception[group] for group in spec.proprioception}
    return {
        "embodiment": embodiment.name,
        "cameras": {role: f"{size.width}x{size.height}" for role, size in spec.cameras.items()},
        "proprioception": {group: list(embodiment.names_of(references)) for group, references in groups.items()},
        "proprioception_units": {group: list(embodiment.units_of(references)) for group, references in groups.items()},
        "actions": [
            f"{name} [{unit}]" for name, unit in zip(embodiment.action_names, embodiment.action_units, strict=True)
        ],
        "action_names": list(embodiment.action_names),
        "action_units": list(embodiment.action_units),
        "action_kind": embodiment.action.kind,
        "action_reference": spec.action_reference,
        "action_horizon": spec.action_horizon,
        "step_rate_hz": embodiment.steps.rate_hz,
        "chunk_seconds": spec.action_horizon / embodiment.steps.rate_hz,
    }


def _origin(checkpoint: Checkpoint) -> dict[str, Any]:
    known = checkpoint.config.provenance
    return {
        "created": known.created,
        "source": known.source,
        "episodes": known.episodes,
        "episode_steps": known.episode_steps,
        "train_steps": known.train_steps,
        "seed": known.seed,
        "command_line": known.command_line,
        "versions": dict(known.versions),
        "metrics": dict(known.metrics),
    }


def _plain(normalisation: Normalisation) -> dict[str, Any]:
    return {key: value for key, value in configuration.to_mapping(normalisation).items() if value is not None}
