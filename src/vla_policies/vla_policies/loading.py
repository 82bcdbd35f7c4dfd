"""Loading a policy by its folder."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from vla_core.embodiment import Embodiment
from vla_core.errors import CheckpointError, EmbodimentMismatch, choice
from vla_policies.checkpoint import CONFIG_FILE, read_config, weights_digest
from vla_policies.containers import Told, read_any, weights_file
from vla_policies.description import summary
from vla_policies.policy import TorchPolicy
from vla_policies.precision import Precision, set_precision


def load(
    path: Path | str,
    device: str = "cpu",
    embodiment: Embodiment | None = None,
    told: Mapping[str, Any] | Told | None = None,
    dtype: Precision | None = None,
) -> TorchPolicy:
    """Loads a policy for inference, whatever container it is in. Nothing in it is executed.

    What was found stands in the policy's ``description`` and in the log.

    Args:
        path: the checkpoint; of a run with several embodiments, the folder that has one for each, if the embodiment is given.
        device: torch's name of where to infer, for example ``cuda``.
        embodiment: the robot that it is to drive. Ours are checked against it; other containers do not say whose they are, so
            that it must be given.
        told: what else the container does not say, by the names of ``vla policies --tell``, and ``cameras``, ``heads``, ``bgr``,
            ``name``, ``allow_missing``, ``allow_unexpected`` (see ``containers.Told``).
        dtype: ``float32`` or ``bfloat16``, with what the family's reference keeps in 32 bits then; by default as the
            configuration has it, else as the reference on a GPU, and 32 bits on a processor.

    Raises:
        MissingInformation: the container does not say something, and it is not told either.
        CheckpointError: the folder, its weights or the device cannot be used.
        ConfigError: its ``config.yaml`` is wrong.
        EmbodimentMismatch: it was made for another robot.
    """
    path = folder_for(Path(path), embodiment)
    if not isinstance(told, Told):
        told = Told.of(embodiment, told or {}, path.stem)
    checkpoint = read_any(path, told)
    description = summary(path, checkpoint)
    logging.getLogger(__name__).info("%s", description)
    policy_id = f"{checkpoint.config.name}@{weights_digest(weights_file(path))}"
    where, network = require_device(device), checkpoint.network()
    mixed = set_precision(network, checkpoint.config.family, dtype, where)
    return TorchPolicy(checkpoint.pipeline(), network, policy_id, where, description, mixed)


def folder_for(path: Path, embodiment: Embodiment | None) -> Path:
    """The folder of a policy: the path itself, or that for an embodiment of a run with several.

    Raises:
        CheckpointError: there are several, and none is asked for.
        EmbodimentMismatch: none is for that embodiment.
    """
    inside = [] if (path / CONFIG_FILE).exists() else sorted(file.parent for file in path.glob(f"*/{CONFIG_FILE}"))
    if not inside:
        return path
    by_name = {config.embodiment.name: folder for folder in inside if (config := read_config(folder))}
    if embodiment is None:
        raise CheckpointError(
            f"{path}: holds a policy for each of the embodiments {choice(by_name)}; expected one of their folders, or the "
            "embodiment that is to be driven"
        )
    if embodiment.name not in by_name:
        raise EmbodimentMismatch(f"{path}: is for the embodiments {choice(by_name)}, not for '{embodiment.name}'")
    return by_name[embodiment.name]


def require_device(name: str) -> torch.device:
    """The torch device of that name. Raises CheckpointError if this machine has none."""
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise CheckpointError(f"device '{name}': cannot be used here: {str(error).splitlines()[0]}") from error
    return device
