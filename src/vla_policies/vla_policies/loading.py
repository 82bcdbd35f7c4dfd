"""Loading a policy by its folder."""

from __future__ import annotations

from pathlib import Path

import torch

from vla_core.embodiment import Embodiment, require_compatible
from vla_core.errors import CheckpointError
from vla_policies.checkpoint import WEIGHTS_FILE, read_checkpoint, weights_digest
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
    policy_id = f"{checkpoint.config.name}@{weights_digest(Path(path) / WEIGHTS_FILE)}"
    return TorchPolicy(checkpoint.pipeline(), checkpoint.network(), policy_id, require_device(device))


def require_device(name: str) -> torch.device:
    """The torch device of that name. Raises CheckpointError if this machine has none."""
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise CheckpointError(f"device '{name}': cannot be used here: {str(error).splitlines()[0]}") from error
    return device
