"""Low-rank adaptation: layers keep their weights, and a product of two small matrices beside each is trained.

Source: Hu et al., "LoRA" (arXiv 2106.09685), section 4.1: W + alpha / rank * B A, with B zero in the beginning. A convolution is
changed by one down to ``rank`` channels with its own kernel, and one of 1x1 up again, as PEFT does.
"""

# calling a torch module gives Any
# mypy: no-warn-return-any
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vla_core.errors import ConfigError
from vla_policies.errors import TrainingError
from vla_policies.openvla.lora import merged
from vla_policies.training.config import Lora
from vla_policies.training.keys import Keys

DOWN, UP = "lora_A", "lora_B"
Layer = nn.Linear | nn.Conv2d


def add_lora(network: nn.Module, lora: Lora, where: str) -> None:
    """Adds trainable changes to layers and freezes all else but what ``lora.trained`` means.

    The names of the network's own parameters stay; beside ``<layer>.weight`` there are ``<layer>.lora_A.weight`` and
    ``<layer>.lora_B.weight``.

    Raises:
        ConfigError: a pattern means no layer that can be changed, or no parameter.
    """
    keys, trained = Keys(lora.keys), Keys(lora.trained)
    layers = {name: module for name, module in network.named_modules() if _can_change(module)}
    keys.require_all(layers, f"{where}.keys", "names of linear layers or convolutions, or of what holds them")
    parameters = dict(network.named_parameters())
    trained.require_all(parameters, f"{where}.trained", "names of parameters or of what holds them")
    for name, parameter in parameters.items():
        parameter.requires_grad_(trained.covers(name))
    for name, layer in layers.items():
        if keys.covers(name):
            if trained.covers(f"{name}.weight"):
                raise ConfigError(f"{where}: expected layers in keys or in trained, found '{name}' in both")
            _change(layer, lora)


def without_lora(weights: Mapping[str, Tensor], lora: Lora, where: str) -> dict[str, Tensor]:
    """Weights of a network by its own names, with the changes added to what they change."""
    changes = {name: tensor for name, tensor in weights.items() if _is_change(name)}
    own = {name: tensor for name, tensor in weights.items() if name not in changes}
    return merged(own, changes, lora.alpha, where)


def require_reached(network: nn.Module, lora: Lora, where: str) -> None:
    """Checks after a backward pass that every pattern changes a layer that the loss depends on.

    Raises:
        TrainingError: a pattern's layers are not used; a network may also read a layer's weight without calling it.
    """
    suffix = f".{UP}.weight"
    reached = [name for name, tensor in network.named_parameters() if name.endswith(suffix) and tensor.grad is not None]
    for pattern in lora.keys:
        if not any(Keys([pattern]).covers(name.removesuffix(suffix)) for name in reached):
            raise TrainingError(f"{where}.keys: expected layers that the loss depends on, found '{pattern}'")


def _is_change(name: str) -> bool:
    return name.endswith((f".{DOWN}.weight", f".{UP}.weight"))


def _can_change(module: nn.Module) -> bool:
    # not their subclasses: torch's attention reads the weights of its own one without calling it
    return type(module) is nn.Linear or (type(module) is nn.Conv2d and module.groups == 1)


def _change(layer: nn.Module, lora: Lora) -> None:
    down, up = _pair(layer, lora.rank)
    nn.init.kaiming_uniform_(down.weight, a=math.sqrt(5))
    nn.init.zeros_(up.weight)
    layer.add_module(DOWN, down)
    layer.add_module(UP, up)
    layer.register_forward_hook(_Added(lora.alpha / lora.rank, lora.dropout))


def _pair(layer: nn.Module, rank: int) -> tuple[Layer, Layer]:
    if isinstance(layer, nn.Linear):
        device = layer.weight.device
        return (
            nn.Linear(layer.in_features, rank, bias=False, device=device),
            nn.Linear(rank, layer.out_features, bias=False, device=device),
        )
    assert isinstance(layer, nn.Conv2d)
    device = layer.weight.device
    down = nn.Conv2d(
        layer.in_channels,
        rank,
        layer.kernel_size,  # type: ignore[arg-type]
        layer.stride,  # type: ignore[arg-type]
        layer.padding,  # type: ignore[arg-type]
        layer.dilation,  # type: ignore[arg-type]
        bias=False,
        padding_mode=layer.padding_mode,
        device=device,
    )
    return down, nn.Conv2d(rank, layer.out_channels, 1, bias=False, device=device)


@dataclass(frozen=True)
class _Added:
    """Adds the change to what a layer gives; a hook, so that the layer keeps its place and its names."""

    scale: float
    dropout: float

    def __call__(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        down, up = layer.get_submodule(DOWN), layer.get_submodule(UP)
        x = F.dropout(inputs[0], self.dropout, layer.training)
        if not torch.is_autocast_enabled(x.device.type):
            x = x.float()  # what is trained has 32 bits, whatever the network has
        return output + (self.scale * up(down(x))).to(output.dtype)
