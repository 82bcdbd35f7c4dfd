"""Weights that do not fit their network, where whoever reads them allows it by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch

from vla_policies.checkpoint import Checkpoint
from vla_policies.families import build_network
from vla_policies.training.keys import Keys

_SEED = 0  # of weights that are missing: the same each time


def tolerated(checkpoint: Checkpoint, missing: Sequence[str], unexpected: Sequence[str]) -> Checkpoint:
    """A checkpoint whose weights are those of its network, as far as patterns of names allow to change them.

    Args:
        checkpoint: as read.
        missing: patterns of weights that may be missing; they become those of a network that is not trained.
        unexpected: patterns of weights that are left out if the network has none of that name.
    """
    if not missing and not unexpected:
        return checkpoint
    wanted = checkpoint.skeleton().state_dict()
    untrained = tuple(name for name in wanted if name not in checkpoint.weights and Keys(missing).covers(name))
    left_out = tuple(name for name in checkpoint.weights if name not in wanted and Keys(unexpected).covers(name))
    weights = {name: tensor for name, tensor in checkpoint.weights.items() if name not in left_out}
    if untrained:
        initial = _initial(checkpoint)
        weights |= {name: initial[name] for name in untrained}
    return dataclasses.replace(checkpoint, weights=weights, untrained=untrained, left_out=left_out)


def _initial(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    config = checkpoint.config
    with torch.random.fork_rng():
        torch.manual_seed(_SEED)
        network = build_network(config.family, config.network, checkpoint.pipeline().shape, config.name)
    return dict(network.state_dict())
