"""The policy families: name, hyper-parameters, network. A further family is a further row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from vla_core import config
from vla_core.errors import CheckpointError, choice
from vla_policies.act import ActConfig, ActNetwork
from vla_policies.batch import NetworkShape


@dataclass(frozen=True)
class Family:
    """A kind of network, and what makes one.

    Attributes:
        config: frozen dataclass of the network's hyper-parameters.
        build: makes a :class:`vla_policies.batch.PolicyNetwork` from them and the sizes of its ends.
        head: name of the module of ``heads`` that turns its readouts into actions.
    """

    config: type[Any]
    build: Callable[[Any, NetworkShape], nn.Module]
    head: str


FAMILIES = {"act": Family(ActConfig, ActNetwork, head="l1_regression")}


def hyper_parameters(family: str, data: Mapping[str, Any], where: str) -> Any:
    """The family's hyper-parameters from plain data, with the defaults of what is not there.

    Args:
        family: a key of ``FAMILIES``.
        data: as read from YAML.
        where: what the data are, for errors.

    Raises:
        CheckpointError: there is no such family.
        ConfigError: a hyper-parameter is wrong or unknown.
    """
    if family not in FAMILIES:
        raise CheckpointError(f"{where}: family: expected {choice(FAMILIES)}, found '{family}'")
    return config.from_mapping(FAMILIES[family].config, dict(data), f"{where}: network")


def build_network(family: str, data: Mapping[str, Any], shape: NetworkShape, where: str) -> nn.Module:
    """Makes an untrained network from plain data. Raises as :func:`hyper_parameters`."""
    checked = hyper_parameters(family, data, where)
    return FAMILIES[family].build(checked, shape)
