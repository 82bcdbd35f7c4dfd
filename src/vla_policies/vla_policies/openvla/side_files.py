"""The files beside the weights of an OpenVLA-OFT: ``action_head--<step>_checkpoint.pt`` and its like."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from vla_core.errors import CheckpointError
from vla_policies.openvla.lora import with_own_changes
from vla_policies.weights import read_torch_weights

ACTION_HEAD = "action_head"
PROPRIO_PROJECTOR = "proprio_projector"
NOISY_ACTION_PROJECTOR = "noisy_action_projector"
VISION_BACKBONE = "vision_backbone"
SIDE_FILES = (ACTION_HEAD, PROPRIO_PROJECTOR, NOISY_ACTION_PROJECTOR, VISION_BACKBONE)

_OF_SEVERAL_GPUS = "module."  # what DistributedDataParallel puts before every name


def find_side_file(folder: Path, which: str) -> Path | None:
    """The file of a part, or None.

    Raises:
        CheckpointError: there are several, of different training steps.
    """
    found = sorted(folder.glob(f"{which}--*checkpoint*.pt"))
    if len(found) > 1:
        names = [path.name for path in found]
        raise CheckpointError(f"{folder}: expected one file of '{which}', found {names}; which step is it to be?")
    return found[0] if found else None


def read_side_files(folder: Path, alpha: float | None) -> dict[str, Tensor]:
    """The tensors of all these files, by the names that the network has them under.

    Args:
        folder: the checkpoint.
        alpha: of the LoRA that a vision backbone with FiLM is saved with, as :func:`vla_policies.openvla.lora.merged`.

    Raises:
        CheckpointError: a file is damaged, or there are several of one kind.
    """
    weights: dict[str, Tensor] = {}
    for which in SIDE_FILES:
        path = find_side_file(folder, which)
        if path is None:
            continue
        found = {name.removeprefix(_OF_SEVERAL_GPUS): tensor for name, tensor in read_torch_weights(path).items()}
        if which == VISION_BACKBONE:  # its names begin with its own
            weights |= with_own_changes(found, alpha, str(path))
        else:
            weights |= {f"{which}.{name}": tensor for name, tensor in found.items()}
    return weights
