"""The optimiser, its learning rate and the averaged weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from vla_policies.training.config import Optimisation
from vla_policies.training.sharding import local


def make_optimiser(network: nn.Module, optimisation: Optimisation) -> torch.optim.AdamW:
    """AdamW with one group for the vision backbones and one for everything else; what is frozen is in none."""
    backbone: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        (backbone if name.startswith("backbones.") else rest).append(parameter)
    backbone_rate = optimisation.backbone_learning_rate or optimisation.learning_rate
    groups = [
        {"params": rest, "peak": optimisation.learning_rate},
        {"params": backbone, "peak": backbone_rate},
    ]
    return torch.optim.AdamW(groups, lr=optimisation.learning_rate, weight_decay=optimisation.weight_decay)


def rate_factor(step: int, optimisation: Optimisation) -> float:
    """Share of the peak learning rate at a step: linear warm-up, then half a cosine down to zero at the last step."""
    if step < optimisation.warmup_steps:
        return (step + 1) / optimisation.warmup_steps
    done = (step - optimisation.warmup_steps) / max(1, optimisation.steps - optimisation.warmup_steps)
    return 0.5 * (1.0 + math.cos(math.pi * done))


def set_learning_rate(optimiser: torch.optim.Optimizer, step: int, optimisation: Optimisation) -> float:
    """Sets every group's rate for a step. Returns that of the first group."""
    factor = rate_factor(step, optimisation)
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * factor
    return float(optimiser.param_groups[0]["lr"])


def averaged(network: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of a network's weights, ``average.module``; updated with ``update_parameters``.

    The decay grows with the number of updates, ``(1 + n) / (10 + n)`` up to ``decay``, so that the first weights are soon
    forgotten. Source: the ``num_updates`` rule of TensorFlow's ExponentialMovingAverage.
    """

    @torch.no_grad()
    def update(averages: Sequence[Tensor], weights: Sequence[Tensor], updates: Tensor | int) -> None:
        count = int(updates)
        share = 1.0 - min(decay, (1 + count) / (10 + count))
        torch._foreach_lerp_([local(part) for part in averages], [local(part) for part in weights], share)

    average = AveragedModel(network, multi_avg_fn=update)
    for own, shared in zip(average.module.parameters(), network.parameters(), strict=True):
        if not shared.requires_grad:
            own.data = shared.data  # it does not change
    return average


class ShuffledRows:
    """Rows in random order, each once per epoch. What comes at a step depends on the seed and the step only."""

    def __init__(self, rows: NDArray[np.intp], batch_size: int, seed: int) -> None:
        self._rows = rows
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = -1
        self._order = rows

    def at(self, step: int) -> NDArray[np.intp]:
        """The rows of a training step (batch_size,)."""
        epochs, places = np.divmod(np.arange(step * self._batch_size, (step + 1) * self._batch_size), len(self._rows))
        return np.concatenate([self._shuffled(int(epoch))[places[epochs == epoch]] for epoch in np.unique(epochs)])

    def _shuffled(self, epoch: int) -> NDArray[np.intp]:
        if epoch != self._epoch:
            self._order = np.random.default_rng([self._seed, epoch]).permutation(self._rows)
            self._epoch = epoch
        return self._order
