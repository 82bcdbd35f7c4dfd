"""The noise that a flow or a diffusion begins with on the robot."""

from __future__ import annotations

import torch
from torch import Tensor

from vla_policies.heads.tables import Tables


class FixedNoise(Tables):
    """The same for every observation, so that chunks change no more than what is seen.

    Attributes:
        noise: (1, K, A) float32, from a normal distribution.

    Args:
        horizon: K.
        action_dim: A.
        seed: of the noise.
        scale: what the noise is multiplied by. 1: as the network has seen it in training; 0: the mean of all noise, of which
            a network that was trained for short leaves less in the chunk.
    """

    noise: Tensor

    def __init__(self, horizon: int, action_dim: int, seed: int, scale: float = 1.0) -> None:
        generator = torch.Generator("cpu").manual_seed(seed)
        super().__init__(noise=scale * torch.randn((1, horizon, action_dim), generator=generator, device="cpu"))
