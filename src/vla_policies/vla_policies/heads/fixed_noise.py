"""The noise that a flow begins with on the robot."""

from __future__ import annotations

import torch
from torch import Tensor

from vla_policies.heads.tables import Tables


class FixedNoise(Tables):
    """The same for every observation, so that chunks change no more than what is seen.

    Attributes:
        noise: (1, K, A) float32, from a normal distribution.
    """

    noise: Tensor

    def __init__(self, horizon: int, action_dim: int, seed: int) -> None:
        generator = torch.Generator("cpu").manual_seed(seed)
        super().__init__(noise=torch.randn((1, horizon, action_dim), generator=generator, device="cpu"))
