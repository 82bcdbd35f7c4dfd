"""Real-time chunking: a new chunk that goes on from the one that is being executed, from any head that matches a flow.

While the new chunk is computed, the robot executes the old one: those actions are known, and the new chunk must begin with
them and continue smoothly. Each denoising step is guided towards them by how the chunk that it is heading for depends on x:
a vector-Jacobian product through the network.
Source: Black et al., "Real-Time Execution of Action Chunking Flow Policies" (arXiv 2506.07339), equations 2 to 5, with the
schedules of Physical-Intelligence/real-time-chunking-kinetix.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Schedule = Literal["linear", "exp", "ones", "zeros"]
Field = Callable[[Tensor, Tensor], Tensor]

MAX_GUIDANCE_WEIGHT = 5.0


@dataclass(frozen=True)
class Guidance:
    """How strongly a new chunk holds to the old one. All counts are actions of the new chunk, which has K.

    Attributes:
        delay: so many are executed before the new chunk is there: they are held to in full.
        execution_horizon: so many are executed of each chunk; the last so many of the new chunk are free.
        schedule: how the weight falls between the two: along a line, faster, not at all, or at once.
        max_weight: bound of the guidance.
    """

    delay: int
    execution_horizon: int
    schedule: Schedule = "exp"
    max_weight: float = MAX_GUIDANCE_WEIGHT

    def __post_init__(self) -> None:
        if self.delay < 0 or self.execution_horizon < 0 or self.max_weight < 0:
            raise ValueError(
                "expected delay, execution_horizon and max_weight of at least 0, "
                f"found {self.delay}, {self.execution_horizon} and {self.max_weight}"
            )


def prefix_weights(guidance: Guidance, horizon: int) -> Tensor:
    """How much each of the K actions of the new chunk holds to the old one, (K,) float64 from 0 to 1."""
    end = max(0, horizon - guidance.execution_horizon)
    delay = min(guidance.delay, end)
    index = torch.arange(horizon, dtype=torch.float64)
    if guidance.schedule == "ones":
        weights = torch.ones(horizon, dtype=torch.float64)
    elif guidance.schedule == "zeros":
        weights = (index < delay).double()
    else:
        weights = ((end - index) / (end - delay + 1)).clamp(0.0, 1.0)
        if guidance.schedule == "exp":
            weights = weights * torch.expm1(weights) / (math.e - 1.0)
    return weights * (index < end)


def guidance_weight(progress: Tensor, max_weight: float) -> Tensor:
    """The factor of the guidance where ``progress``, from 0, the noise, to 1, the actions, has been made."""
    rest = 1.0 - progress
    weight = rest / progress * (progress.square() + rest.square()) / rest.square()
    return weight.nan_to_num(posinf=max_weight).clamp_max(max_weight)


def guided_velocity(velocity: Field, previous: Tensor, weights: Tensor, max_weight: float) -> Field:
    """A field of velocities that is led towards a known chunk.

    Args:
        velocity: of x (B, K, A) where ``progress`` (B,) has been made: towards the actions as progress grows.
        previous: the old chunk (B, K, A); its first action is that of the new chunk's first step.
        weights: of its actions (K,), see :func:`prefix_weights`, or of each of their dimensions (K, A); where they are 0, what
            it holds has no effect.
        max_weight: bound of the guidance.

    Returns:
        A field of the same kind. It needs gradients with respect to x and turns them on for itself, but not in torch's
        inference mode, and what ``velocity`` refers to must not have been made in that mode.
    """
    held = weights.to(previous)[:, None] if weights.dim() == 1 else weights.to(previous)

    def guided(x: Tensor, progress: Tensor) -> Tensor:
        rest = (1.0 - progress)[:, None, None]
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            field = velocity(x, progress)
            heading_for = x + rest * field
            error = ((previous - heading_for) * held).detach()
            (correction,) = torch.autograd.grad(heading_for, x, error)
        return field.detach() + guidance_weight(progress, max_weight)[:, None, None] * correction

    return guided


def reversed_time(velocity: Field) -> Field:
    """Of a field whose time runs from 1 at the noise to 0 at the actions (pi0) one over progress, or the other way round."""
    return lambda x, time: -velocity(x, 1.0 - time)
