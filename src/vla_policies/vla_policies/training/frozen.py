"""Parts of a network that are not trained."""

from __future__ import annotations

from torch import nn

from vla_core.errors import ConfigError
from vla_policies.training.keys import Keys


def freeze(network: nn.Module, patterns: tuple[str, ...], where: str) -> None:
    """Stops the training of the parameters that patterns mean.

    Raises:
        ConfigError: a pattern means none, or nothing is left to train.
    """
    keys = Keys(patterns)
    parameters = dict(network.named_parameters())
    keys.require_all(parameters, where, "names of parameters or of what holds them")
    for name, parameter in parameters.items():
        if keys.covers(name):
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in parameters.values()):
        raise ConfigError(f"{where}: expected something that is trained, found everything frozen")


def train_mode(network: nn.Module) -> None:
    """Sets a network to training, but its frozen parts to inference: there is no dropout in what does not change."""
    network.train()
    for module in network.modules():
        parameters = list(module.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            module.eval()
