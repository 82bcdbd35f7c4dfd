"""Loading a policy by its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from vla_core.embodiment import Embodiment, require_compatible
from vla_core.errors import CheckpointError
from vla_policies.checkpoint import WEIGHTS_FILE, read_checkpoint, read_config, weights_digest
from vla_policies.policy import TorchPolicy


def load(path: Path | str, device: str = "cpu", embodiment: Embodiment | None = None) -> TorchPolicy:
    """Loads a policy for inference. Nothing in the folder is executed.

    Args:
        path: the checkpoint's folder.
        device: torch's name of where to infer, for example ``cuda``.
        embodiment: the robot that it is to drive, if it should be checked now.

    Raises:
        CheckpointError: the folder, its weights or the device cannot be used.
        ConfigError: its ``config.yaml`` is wrong.
        EmbodimentMismatch: it was made for another robot.
    """
    checkpoint = read_checkpoint(path)
    if embodiment is not None:
        require_compatible(checkpoint.config.embodiment, embodiment, f"policy {path}")
    policy_id = f"{checkpoint.config.name}@{weights_digest(path)}"
    return TorchPolicy(checkpoint.pipeline(), checkpoint.network(), policy_id, require_device(device))


def require_device(name: str) -> torch.device:
    """The torch device of that name. Raises CheckpointError if this machine has none."""
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise CheckpointError(f"device '{name}': cannot be used here: {str(error).splitlines()[0]}") from error
    return device


def describe(path: Path | str) -> dict[str, Any]:
    """What a checkpoint folder holds, as plain data for people and for JSON; its weights are not read.

    Raises CheckpointError and ConfigError as :func:`load`.
    """
    config = read_config(path)
    embodiment, spec = config.embodiment, config.spec
    weights = Path(path) / WEIGHTS_FILE
    if not weights.is_file():
        raise CheckpointError(f"{path}: expected {WEIGHTS_FILE}, found none")
    return {
        "name": config.name,
        "policy_id": f"{config.name}@{weights_digest(path)}",
        "family": config.family,
        "embodiment": embodiment.name,
        "cameras": {role: f"{size.width}x{size.height}" for role, size in spec.cameras.items()},
        "proprioception": {
            group: list(embodiment.names_of(embodiment.proprioception[group])) for group in spec.proprioception
        },
        "actions": [
            f"{name} [{unit}]" for name, unit in zip(embodiment.action_names, embodiment.action_units, strict=True)
        ],
        "action_kind": embodiment.action.kind,
        "action_reference": spec.action_reference,
        "action_horizon": spec.action_horizon,
        "step_rate_hz": embodiment.steps.rate_hz,
        "chunk_seconds": spec.action_horizon / embodiment.steps.rate_hz,
        "weights_bytes": weights.stat().st_size,
        "trained_on": config.provenance.source,
        "episodes": config.provenance.episodes,
        "train_steps": config.provenance.train_steps,
        "created": config.provenance.created,
        "metrics": dict(config.provenance.metrics),
    }
