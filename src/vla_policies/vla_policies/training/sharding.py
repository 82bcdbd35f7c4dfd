"""Weights, their average and the optimiser's moments in parts, one part in each process (torch's fully sharded data parallel).

They are put together for the losses of a step and for files. A file has whole tensors: a run can go on with any number of
processes, sharded or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from vla_policies.training.processes import Processes


def shard(module: nn.Module, processes: Processes) -> None:
    """Leaves each process a part of the module's parameters, which its call puts together."""
    mesh = init_device_mesh(processes.device.type, (processes.count,))
    fully_shard(
        module, mesh=mesh, reshard_after_forward=not any(weight.requires_grad for weight in module.parameters())
    )


def local(tensor: Tensor) -> Tensor:
    """This process's part of a tensor, or all of one that is not in parts."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(values: Any) -> Any:
    """Mappings and lists with whole tensors instead of parts. Every process must ask for the same ones."""
    if isinstance(values, DTensor):
        return values.full_tensor()
    if isinstance(values, Mapping):
        return {name: whole(value) for name, value in values.items()}
    if isinstance(values, list):
        return [whole(value) for value in values]
    return values


def in_parts(values: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Whole tensors by name, in parts where those of a network are."""
    return {name: _part(value, like[name]) if name in like else value for name, value in values.items()}


def optimiser_in_parts(state: dict[str, Any], optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """A whole state of an optimiser, in parts where its parameters are."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    moments = {
        number: {
            name: _part(value, parameters[number]) if value.shape == parameters[number].shape else value
            for name, value in own.items()
        }
        for number, own in state["state"].items()
    }
    return {**state, "state": moments}


def _part(value: Tensor, like: Tensor) -> Tensor:
    if not isinstance(like, DTensor):
        return value
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements, src_data_rank=None)
