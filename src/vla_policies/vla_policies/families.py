"""The policy families: name, hyper-parameters, network. A further family is a further row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from vla_core import config
from vla_core.errors import CheckpointError, choice
from vla_policies.act import ActConfig, ActNetwork
from vla_policies.batch import NetworkShape, RealTimeChunking
from vla_policies.crossformer import CrossFormerConfig, CrossFormerPolicy
from vla_policies.groot import GrootConfig, GrootNetwork
from vla_policies.normalisation import SchemeName
from vla_policies.openvla import OpenVlaConfig, OpenVlaNetwork
from vla_policies.pi0 import Pi0Config, Pi0PolicyNetwork, Pi05Config


@dataclass(frozen=True)
class Family:
    """A kind of network, and what makes one.

    Attributes:
        config: frozen dataclass of the network's hyper-parameters.
        build: makes a :class:`vla_policies.batch.PolicyNetwork` from them and the sizes of its ends.
        head: name of the module of ``heads`` that turns its readouts into actions; empty if the hyper-parameters say which,
            as ``head_module``.
        state_scheme: how proprioception is normalised where such a network is trained here.
        action_scheme: and actions. Heads that bin or clip them need them within -1 and 1.
        files: hyper-parameters that name a file, or one for each key; it is kept in a checkpoint's folder (``own_files``).
        recomputable: modules that may be computed again for their gradients, as patterns of names; see ``training.keys``.
        continues: its networks are :class:`vla_policies.batch.ContinuingNetwork`.
    """

    config: type[Any]
    build: Callable[[Any, NetworkShape], nn.Module]
    head: str = ""
    state_scheme: SchemeName = "act_mean_std"
    action_scheme: SchemeName = "act_mean_std"
    recomputable: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    continues: bool = False

    def real_time_chunking(self, hyper_parameters: Any) -> RealTimeChunking | None:
        """How a network with these hyper-parameters goes on from the chunk that is executed; None: it cannot."""
        if not self.continues:
            return None
        return "prefix" if getattr(hyper_parameters, "trained_prefix", 0) else "guided"

    def head_for(self, hyper_parameters: Any) -> str:
        """Name of the module of ``heads`` that a network with these hyper-parameters has."""
        return self.head or str(hyper_parameters.head_module)


_PI0_LAYERS = ("backbones.*.layers.*", "model.paligemma_with_expert.**.layers.*")

FAMILIES = {
    "act": Family(
        ActConfig,
        ActNetwork,
        head="l1_regression",
        recomputable=("backbones.*.layer*.*", "encoder.layers.*", "decoder.layers.*", "style_encoder.encoder.layers.*"),
    ),
    "crossformer": Family(
        CrossFormerConfig,
        CrossFormerPolicy,
        head="readout_l1",
        recomputable=("backbones.*.stages.*.*", "transformer.layers.*"),
        files=("goals",),
    ),
    "groot": Family(
        GrootConfig,
        GrootNetwork,
        head="flow_matching_dit",
        recomputable=(
            "backbone.encoders.*.layers.*",
            "backbone.eagle_model.**.layers.*",
            "action_head.**.transformer_blocks.*",
        ),
        continues=True,
        files=("tokenizer",),
    ),
    "openvla": Family(
        OpenVlaConfig,
        OpenVlaNetwork,
        state_scheme="oft_proprio_bounds",
        action_scheme="oft_bounds",
        recomputable=(
            "vision_backbone.cameras.*.layers.*",
            "vision_backbone.*.blocks.*",
            "language_model.model.layers.*",
        ),
        files=("tokenizer_file",),
    ),
    "pi0": Family(
        Pi0Config,
        Pi0PolicyNetwork,
        "flow_matching",
        "openpi_mean_std",
        "openpi_mean_std",
        recomputable=_PI0_LAYERS,
        continues=True,
        files=("tokenizer",),
    ),
    "pi05": Family(
        Pi05Config,
        Pi0PolicyNetwork,
        "flow_matching",
        "openpi_quantiles",
        "openpi_quantiles",
        recomputable=_PI0_LAYERS,
        continues=True,
        files=("tokenizer",),
    ),
}


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
    return config.from_mapping(require_family(family, where).config, dict(data), f"{where}: network")


def require_family(name: str, where: str) -> Family:
    """The family of that name. Raises CheckpointError, with ``where`` it is named, if there is none."""
    if name not in FAMILIES:
        raise CheckpointError(f"{where}: family: expected {choice(FAMILIES)}, found '{name}'")
    return FAMILIES[name]


def families_of(network: object) -> list[str]:
    """Names of the families that a network can be of."""
    return [name for name, family in FAMILIES.items() if type(network) is family.build]


def build_network(family: str, data: Mapping[str, Any], shape: NetworkShape, where: str) -> nn.Module:
    """Makes an untrained network from plain data. Raises as :func:`hyper_parameters`."""
    checked = hyper_parameters(family, data, where)
    return FAMILIES[family].build(checked, shape)
