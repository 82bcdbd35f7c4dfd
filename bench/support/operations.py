"""What a chunk costs, counted without computing it: parameters, bytes of weights, operations, and weights that are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from bench.support.policy_cases import PolicyCase, Precision
from bench.support.policy_networks import predict, random_inputs, skeleton

_ATEN = torch.ops.aten
_LOOKUPS = (_ATEN.embedding.default, _ATEN.index.Tensor, _ATEN.index_select.default)


@dataclass(frozen=True)
class Work:
    """What a chunk costs.

    Attributes:
        parameters: numbers that the network has; tied ones count once.
        weight_bytes: what they take.
        flops: multiplications and additions of its matrix products, convolutions and attention.
        read_bytes: weights that these and all other operators read, as often as they do; of tables only the rows.
    """

    parameters: int
    weight_bytes: int
    flops: int
    read_bytes: int


def count_work(case: PolicyCase, precision: Precision) -> Work:
    """Counts on the device ``meta``. Operations do not depend on the precision, bytes do."""
    with skeleton(case, precision) as network, torch.no_grad():
        weights = _weights(network)
        sizes = {name: tensor.element_size() for name, tensor in weights.items()}
        network.float().to("meta")  # the mixed precision of a GPU is not to be had here
        inputs = random_inputs(case, torch.device("meta"))
        flops, elements = count_operations(network, lambda: predict(network, inputs))
    return Work(
        parameters=sum(tensor.numel() for tensor in weights.values()),
        weight_bytes=sum(tensor.numel() * sizes[name] for name, tensor in weights.items()),
        flops=flops,
        read_bytes=sum(count * sizes[name] for name, count in elements.items()),
    )


def count_operations(network: nn.Module, run: Callable[[], Any]) -> tuple[int, Mapping[str, int]]:
    """Operations, and by the name of a parameter how many of its elements are read.

    Args:
        network: on the device ``meta``.
        run: what is counted; without gradients.
    """
    with FlopCounterMode(display=False) as flops, _Reads(_weights(network)) as reads:
        run()
    return flops.get_total_flops(), reads.elements


class _Reads(TorchDispatchMode):
    """Counts the elements of weights that operators read."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()
        self._names = {_storage(tensor): name for name, tensor in weights.items()}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            for tensor in _tensors(args):
                if (name := self._names.get(_storage(tensor))) is not None:
                    self.elements[name] += (result if func in _LOOKUPS else tensor).numel()
        return result


def _weights(network: nn.Module) -> dict[str, Tensor]:
    return dict(network.named_parameters())


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _tensors(args: Any) -> list[Tensor]:
    flat = []
    for arg in args:
        if isinstance(arg, Tensor):
            flat.append(arg)
        elif isinstance(arg, list | tuple):
            flat += _tensors(arg)
    return flat
