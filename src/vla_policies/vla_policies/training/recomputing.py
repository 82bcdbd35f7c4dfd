"""Gradient checkpointing: what modules computed is forgotten and computed again for the gradients, for memory.

Source: Chen et al., "Training Deep Nets with Sublinear Memory Cost" (arXiv 1604.06174).
"""

from __future__ import annotations

from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint

from vla_core.errors import ConfigError
from vla_policies.families import require_family
from vla_policies.training.keys import Keys, modules


def recompute(network: nn.Module, family: str, where: str) -> None:
    """Makes the modules that a family says can be recomputed do so; gradients stay what they are, bit by bit.

    Raises:
        ConfigError: the network has none of them.
    """
    patterns = require_family(family, where).recomputable
    found = modules(network, Keys(patterns))
    if not found:
        raise ConfigError(
            f"{where}: expected a network with {', '.join(patterns) or 'such modules'}, found none of them"
        )
    for module in found.values():
        module.forward = partial(checkpoint, module.forward, use_reentrant=False)
