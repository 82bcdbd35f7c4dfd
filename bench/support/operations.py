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
from vla_policies.crossformer import CrossFormerPolicy
from vla_policies.groot import GrootNetwork
from vla_policies.pi0 import Pi0PolicyNetwork

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
        network.float()  # the mixed precision of a GPU is not to be had here
        inputs = random_inputs(case, torch.device("meta"))
        _without_values(network, case)
        flops, elements = count_operations(network, lambda: predict(network, inputs), _read_back(network))
    return Work(
        parameters=sum(tensor.numel() for tensor in weights.values()),
        weight_bytes=sum(tensor.numel() * sizes[name] for name, tensor in weights.items()),
        flops=flops,
        read_bytes=sum(count * sizes[name] for name, count in elements.items()),
    )


def count_operations(network: nn.Module, run: Callable[[], Any], read_back: int = 0) -> tuple[int, Mapping[str, int]]:
    """Operations, and by the name of a parameter how many of its elements are read.

    Args:
        network: on the device ``meta``.
        run: what is counted; without gradients.
        read_back: the answer where a size is read back from the device.
    """
    with FlopCounterMode(display=False) as flops, _Reads(_weights(network), read_back) as reads:
        run()
    return flops.get_total_flops(), reads.elements


class _Reads(TorchDispatchMode):
    """Counts the elements of weights that operators read, and answers what a network reads back from the device."""

    def __init__(self, weights: Mapping[str, Tensor], read_back: int) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()
        self._names = {_storage(tensor): name for name, tensor in weights.items()}
        self._read_back = read_back

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is _ATEN._local_scalar_dense.default:
            return self._read_back
        if func is _ATEN.repeat_interleave.Tensor:
            kwargs = {"output_size": self._read_back}
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            for tensor in _tensors(args):
                if (name := self._names.get(_storage(tensor))) is not None:
                    self.elements[name] += (result if func in _LOOKUPS else tensor).numel()
        return result


def _without_values(network: nn.Module, case: PolicyCase) -> None:
    """pi0.5 writes the state into its prompt, for which the device ``meta`` has no values; the prompt is made beforehand."""
    if isinstance(network, Pi0PolicyNetwork):
        tokens = network.prompt_tokens(random_inputs(case, torch.device("cpu")))
        network.prompt_tokens = lambda inputs: tokens  # type: ignore[method-assign]


def _read_back(network: nn.Module) -> int:
    """The one size that two families read back from the device, which the device ``meta`` does not know.

    GR00T: how many places for patches its text has, which are as many as patches. CrossFormer: how long its sequence is.
    """
    if isinstance(network, GrootNetwork) and network.config.backbone == "eagle":
        return network.shape.cameras * network.backbone.eagle_model.image_tokens
    if isinstance(network, CrossFormerPolicy):
        ends, config = network.ends, network.config
        chosen = (config.cameras, (config.state,) if config.state else ())
        images, vectors = chosen if config.ends else (ends.images, ends.vectors)
        numbers = sum(ends.vectors[name].size for name in vectors)
        return sum(ends.images[name].tokens for name in images) + numbers + ends.readouts[config.head].horizon
    return 0


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
