"""In how many bits a network infers: as its reference does on a GPU, or in 32 bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast, get_args

import torch
from torch import nn

from vla_core.errors import CheckpointError, choice
from vla_policies.pi0 import Pi0PolicyNetwork
from vla_policies.pi0.paligemma import cast_towers

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class _Reference:
    """What a family's reference does.

    Attributes:
        on_cuda: its precision on a GPU.
        narrow: casts the weights to 16 bits, apart from those that keep 32; None: all keep them.
        mixed: matrix products are computed in 16 bits whatever their inputs have (autocast).
    """

    on_cuda: Precision
    narrow: Callable[[nn.Module], object] | None
    mixed: bool


def _all(network: nn.Module) -> None:
    network.to(torch.bfloat16)


def _towers(network: nn.Module) -> None:
    cast_towers(cast(Pi0PolicyNetwork, network).model.paligemma_with_expert, torch.bfloat16)


_REFERENCES = {
    "act": _Reference("float32", None, mixed=True),
    "crossformer": _Reference("float32", None, mixed=True),
    "groot": _Reference("bfloat16", _all, mixed=True),  # Isaac-GR00T, gr00t/model/policy.py
    "openvla": _Reference("bfloat16", _all, mixed=False),
    "pi0": _Reference("bfloat16", _towers, mixed=False),
    "pi05": _Reference("bfloat16", _towers, mixed=False),
}


def set_precision(network: nn.Module, family: str, precision: Precision | None, device: torch.device) -> bool:
    """Casts a network's weights, in place.

    Args:
        network: on the processor.
        family: of the network.
        precision: ``float32``, ``bfloat16``, or None: as the network's configuration has it, and where that has 32 bits, as
            the family's reference on a GPU, and 32 bits on a processor.
        device: where it will infer.

    Returns:
        Whether it must infer in mixed precision.

    Raises:
        CheckpointError: there is no such precision.
    """
    if precision not in (None, *get_args(Precision)):
        raise CheckpointError(f"dtype: expected {choice(get_args(Precision))}, found '{precision}'")
    reference = _REFERENCES[family]
    narrow_already = any(parameter.dtype == torch.bfloat16 for parameter in network.parameters())
    if precision is None:
        precision = reference.on_cuda if device.type == "cuda" else "float32"
        if narrow_already:
            return reference.mixed
    if precision == "float32":
        network.float()
        return False
    if reference.narrow is not None and not narrow_already:
        reference.narrow(network)
    return reference.mixed
