"""Small untrained policies whose chunks can go on from the one that is executed, with offsets and normalisation."""

from __future__ import annotations

import torch
from torch import nn
from training_presets import GROOT

from vla_core.embodiment import Embodiment
from vla_policies.batch import NetworkShape
from vla_policies.checkpoint import Checkpoint, PolicyConfig, Provenance
from vla_policies.families import build_network
from vla_policies.normalisation import Normalisation, NormStats
from vla_policies.spec import ImageSize, PolicySpec

HORIZON = 12
_TOWER = {"width": 16, "depth": 2, "mlp_dim": 24, "heads": 2, "kv_heads": 1, "head_dim": 8}
_PI0 = {
    "vlm": _TOWER,
    "expert": _TOWER,
    "image_encoder": "key_points",
    "key_points": 4,
    "vocabulary": 516,
    "prompt_length": 96,
    "action_dim": 10,
}
_GROOT_HEAD = {**GROOT["network"]["head"], "positions": 16, "state_dim": 9, "action_dim": 10, "horizon": 14}
_GROOT = {
    "backbone": "small",
    "small": {"key_points": 4, "prompt_length": 8},
    "embodiment": 1,
    "head": _GROOT_HEAD,
}
NETWORKS = {"pi0": _PI0, "pi05": _PI0, "groot": _GROOT}


def continuing_checkpoint(family: str, embodiment: Embodiment, **changes: object) -> Checkpoint:
    """Always the same one; no residual of it is shut, as those of adaptive norms are at first."""
    spec = PolicySpec({role: ImageSize(32, 24) for role in embodiment.cameras}, ("qpos",), HORIZON, "qpos")
    quantiles = NormStats((0.0,) * 8, (0.3,) * 8, q01=(-0.8,) * 8, q99=(0.8,) * 8)
    numbers = Normalisation("openpi_quantiles", quantiles)
    image = Normalisation("act_mean_std", NormStats((0.5,) * 3, (0.5,) * 3))
    network = {**NETWORKS[family], **changes}
    config = PolicyConfig(
        schema="vla/policy/1",
        name=f"small_{family}",
        family=family,
        network=network,
        spec=spec,
        normalisation={**dict.fromkeys(embodiment.cameras, image), "qpos": numbers, "action": numbers},
        provenance=Provenance(created="2026-01-01T00:00:00+00:00", source="nowhere"),
        embodiment=embodiment,
    )
    shape = NetworkShape(len(embodiment.cameras), 8, 8, HORIZON)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        untrained = build_network(family, network, shape, "test")
        for name, parameter in untrained.named_parameters():
            if ".dense." in name:
                nn.init.normal_(parameter, std=0.1)
    return Checkpoint(config, untrained.state_dict())
