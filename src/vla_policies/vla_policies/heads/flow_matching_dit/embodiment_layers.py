"""Layers that have weights of their own for each embodiment. Every element of a batch names the one it is of.

Parameter names are GR00T's: ``W`` is (embodiment, in, out), ``b`` is (embodiment, out).
"""

# calling a torch module gives Any
# mypy: no-warn-return-any
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class EmbodimentLinear(nn.Module):
    """``x W[e] + b[e]``: x (B, n, in) and embodiments (B,) int64 to (B, n, out)."""

    def __init__(self, embodiments: int, dim_in: int, dim_out: int) -> None:
        super().__init__()
        # the reference starts at 0.02 whatever the width, which is nearly nothing in a narrow layer
        self.W = nn.Parameter(torch.randn(embodiments, dim_in, dim_out) / math.sqrt(dim_in))
        self.b = nn.Parameter(torch.zeros(embodiments, dim_out))

    def forward(self, x: Tensor, embodiment: Tensor) -> Tensor:
        return torch.baddbmm(self.b[embodiment][:, None], x, self.W[embodiment])


class EmbodimentMlp(nn.Module):
    """Two layers with a ReLU between them."""

    def __init__(self, embodiments: int, dim_in: int, dim_hidden: int, dim_out: int) -> None:
        super().__init__()
        self.layer1 = EmbodimentLinear(embodiments, dim_in, dim_hidden)
        self.layer2 = EmbodimentLinear(embodiments, dim_hidden, dim_out)

    def forward(self, x: Tensor, embodiment: Tensor) -> Tensor:
        return self.layer2(F.relu(self.layer1(x, embodiment)), embodiment)


class ActionEncoder(nn.Module):
    """Noisy actions (B, K, A) and the bucket of their time (B,) int64 to tokens (B, K, d)."""

    def __init__(self, embodiments: int, action_dim: int, dim: int) -> None:
        super().__init__()
        self.W1 = EmbodimentLinear(embodiments, action_dim, dim)
        self.W2 = EmbodimentLinear(embodiments, 2 * dim, dim)
        self.W3 = EmbodimentLinear(embodiments, dim, dim)

    def forward(self, actions: Tensor, bucket: Tensor, embodiment: Tensor) -> Tensor:
        encoded = self.W1(actions, embodiment)
        time = _time_waves(bucket, encoded.shape[-1]).to(encoded)[:, None].expand_as(encoded)
        return self.W3(F.silu(self.W2(torch.cat([encoded, time], dim=-1), embodiment)), embodiment)


def _time_waves(bucket: Tensor, dim: int) -> Tensor:
    """Sines, then cosines, of a bucket (B,) at frequencies from 1 down to nearly 1e-4; (B, dim)."""
    half = dim // 2
    index = torch.arange(half, dtype=torch.float32, device=bucket.device)
    angle = bucket.float()[:, None] * torch.exp(-math.log(10000.0) / half * index)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)
