"""What a checkpoint is, as plain data for people and for JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vla_core import config as configuration
from vla_core.embodiment import Embodiment, require_compatible
from vla_core.errors import EmbodimentMismatch
from vla_policies.checkpoint import Checkpoint, PolicyConfig, weights_digest
from vla_policies.containers import NOTHING_TOLD, TITLES, Told, container_of, read_any, weights_file
from vla_policies.families import FAMILIES, hyper_parameters
from vla_policies.formats.shards import WHOLE_FILE, has_shards, shard_files
from vla_policies.normalisation import SCHEMES, Normalisation
from vla_policies.pi0.openpi import CAMERAS as OPENPI_CAMERAS


def describe(path: Path | str, told: Told = NOTHING_TOLD) -> dict[str, Any]:
    """Describes a checkpoint in any container. It is read as a whole, so what is described can be loaded.

    Args:
        path: the checkpoint.
        told: what its container does not say. One of ours is described whether it fits the embodiment or not: see ``fits``.

    Raises:
        CheckpointError, ConfigError, EmbodimentMismatch: as :func:`vla_policies.containers.read_any`.
    """
    container = container_of(path)
    robot = told.embodiment
    checkpoint = read_any(path, dataclasses.replace(told, embodiment=None) if container == "vla" else told)
    file = weights_file(path)
    config = checkpoint.config
    network = hyper_parameters(config.family, config.network, config.name)
    skeleton = checkpoint.skeleton()
    return {
        "name": config.name,
        "policy_id": f"{config.name}@{weights_digest(file)}",
        "container": container,
        "family": config.family,
        "head": _head(config),
        "real_time_chunking": FAMILIES[config.family].real_time_chunking(network),
        "network": configuration.to_mapping(network),
        "parameters": sum(parameter.numel() for parameter in skeleton.parameters()),
        "weights_bytes": sum(part.stat().st_size for part in _parts(file)),
        "memory_bytes": sum(tensor.numel() * tensor.element_size() for tensor in skeleton.state_dict().values()),
        "untrained_weights": list(checkpoint.untrained),
        "weights_left_out": list(checkpoint.left_out),
        **_ends(checkpoint),
        "normalisation": {key: _plain(found) for key, found in config.normalisation.items()},
        "statistics": {key: statistics_of(found) for key, found in config.normalisation.items()},
        **_origin(checkpoint),
        **({} if robot is None else {"fits": _fit(checkpoint, robot)}),
    }


def statistics_of(normalisation: Normalisation) -> list[dict[str, Any]]:
    """How each dimension is normalised: the scheme, and the two statistics that it goes by, with their names.

    There are none of what is left as it is: all of it, or a dimension that a mask leaves out.
    """
    if normalisation.parts:
        return [row for part in normalisation.parts for row in statistics_of(part)]
    stats = normalisation.stats
    if stats is None:
        return []
    low, high = SCHEMES[normalisation.scheme].needs[:2]
    columns = zip(getattr(stats, low), getattr(stats, high), stats.mask or (True,) * stats.size, strict=True)
    return [
        {"scheme": normalisation.scheme, low: first, high: second} if used else {"scheme": "identity"}
        for first, second, used in columns
    ]


def _parts(file: Path) -> list[Path]:
    """All files of the weights that one stands for."""
    sharded = file.name != WHOLE_FILE and has_shards(file.parent)
    return shard_files(file.parent) if sharded else [file]


def _fit(checkpoint: Checkpoint, robot: Embodiment) -> dict[str, Any]:
    """Whether a policy may drive a robot, and what of the robot it uses for what."""
    differences: list[str] = []
    try:
        require_compatible(checkpoint.config.embodiment, robot, checkpoint.config.name)
    except EmbodimentMismatch as error:
        differences = str(error).split("\n  ")[1:]
    return {
        "embodiment": robot.name,
        "differences": differences,
        "cameras": {
            role: {
                "topic": robot.cameras[role].topic,
                "pixels": f"{robot.cameras[role].width}x{robot.cameras[role].height}",
            }
            for role in checkpoint.config.spec.cameras
            if role in robot.cameras
        },
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
        "camera_inputs": _camera_inputs(checkpoint.config),
        "proprioception": {group: list(embodiment.names_of(references)) for group, references in groups.items()},
        "proprioception_units": {group: list(embodiment.units_of(references)) for group, references in groups.items()},
        "actions": [
            f"{name} [{unit}]" for name, unit in zip(embodiment.action_names, embodiment.action_units, strict=True)
        ],
        "action_names": list(embodiment.action_names),
        "action_units": list(embodiment.action_units),
        "action_kind": embodiment.action.kind,
        "action_reference": spec.action_reference,
        "transforms": configuration.to_mapping(spec)["transforms"],
        "action_horizon": spec.action_horizon,
        "step_rate_hz": embodiment.steps.rate_hz,
        "chunk_seconds": spec.action_horizon / embodiment.steps.rate_hz,
    }


def _camera_inputs(config: PolicyConfig) -> dict[str, str]:
    """Camera role to what it is to the network, in the words of its family."""
    names: Sequence[str] = config.network.get("cameras") or ()
    if config.family in ("pi0", "pi05"):
        names = OPENPI_CAMERAS
    return {
        role: names[index] if index < len(names) else f"image {index + 1}"
        for index, role in enumerate(config.spec.cameras)
    }


def _origin(checkpoint: Checkpoint) -> dict[str, Any]:
    known = checkpoint.config.provenance
    return {
        "created": known.created,
        "source": known.source,
        "license": known.license,
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
