"""The diffusion transformer of GR00T's head, and the self-attention over the features that it attends to.

Source: Peebles and Xie, "Scalable Diffusion Models with Transformers" (arXiv 2212.09748), with GR00T N1.5's choices: scale and
shift but no gates, and attention to features and to tokens by turns. Parameter names are those of its checkpoints, which stem
from diffusers. Tensors are (B, tokens, d).
"""

# calling a torch module gives Any
# mypy: no-warn-return-any
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vla_policies.heads.flow_matching_dit.config import FlowMatchingDitConfig

Memory = tuple[Tensor, Tensor]
"""Keys and values, each (B, heads, m, head_dim)"""

_EPS, _EPS_OUT = 1e-5, 1e-6
_WAVES = 256  # numbers in which a time is written before it is embedded
_FEEDFORWARD = 4  # its width, in widths of a token


class Attention(nn.Module):
    """Multi-head attention to a memory. There is no mask: as in the reference, the padding of prompts is attended to."""

    def __init__(self, dim: int, heads: int, memory_dim: int, dropout: float) -> None:
        super().__init__()
        self.to_q = nn.Linear(dim, dim)
        self.to_k = nn.Linear(memory_dim, dim)
        self.to_v = nn.Linear(memory_dim, dim)
        self.to_out = nn.Sequential(nn.Linear(dim, dim), nn.Dropout(dropout))
        self._heads = heads

    def remember(self, memory: Tensor) -> Memory:
        """Keys and values of a memory (B, m, memory_dim), which may serve several queries."""
        key, value = (self._heads_first(projected) for projected in (self.to_k(memory), self.to_v(memory)))
        return key, value

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        attended = F.scaled_dot_product_attention(self._heads_first(self.to_q(x)), *memory)
        return self.to_out(attended.transpose(1, 2).flatten(2))

    def _heads_first(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:-1], self._heads, -1).transpose(1, 2)


class _GeluProjection(nn.Module):
    def __init__(self, dim_in: int, dim_out: int) -> None:
        super().__init__()
        self.proj = nn.Linear(dim_in, dim_out)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.proj(x), approximate="tanh")


class FeedForward(nn.Module):
    """Two layers, four times as wide between them."""

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        wide = _FEEDFORWARD * dim
        self.net = nn.Sequential(
            _GeluProjection(dim, wide), nn.Dropout(dropout), nn.Linear(wide, dim), nn.Dropout(dropout)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class AdaptiveNorm(nn.Module):
    """A layer norm that is scaled and shifted by the time's embedding: scale first, shift second."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, 2 * dim)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        scale, shift = self.linear(F.silu(time))[:, None].chunk(2, dim=-1)
        return F.layer_norm(x, x.shape[-1:], eps=_EPS) * (1.0 + scale) + shift


class DitBlock(nn.Module):
    """Attention behind an adaptive norm, and a feed-forward part behind a norm without parameters."""

    def __init__(self, dim: int, heads: int, memory_dim: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = AdaptiveNorm(dim)
        self.attn1 = Attention(dim, heads, memory_dim, dropout)
        self.ff = FeedForward(dim, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, time: Tensor, memory: Memory | None) -> Tensor:
        """Tokens (B, n, d), the time's embedding (B, d), and the features to attend to; None: to the tokens."""
        normed = self.norm1(x, time)
        x = x + self.dropout(self.attn1(normed, memory or self.attn1.remember(normed)))
        return x + self.ff(F.layer_norm(x, x.shape[-1:], eps=_EPS))


class _TimestepEmbedder(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(_WAVES, dim)
        self.linear_2 = nn.Linear(dim, dim)


class TimestepEncoder(nn.Module):
    """The bucket of a time (B,) int64 to its embedding (B, d)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.timestep_embedder = _TimestepEmbedder(dim)

    def forward(self, bucket: Tensor) -> Tensor:
        embedder = self.timestep_embedder
        waves = _time_waves(bucket).to(embedder.linear_1.weight.dtype)
        return embedder.linear_2(F.silu(embedder.linear_1(waves)))


def _time_waves(bucket: Tensor) -> Tensor:
    """Cosines, then sines, of a bucket (B,) at frequencies from 1 down to 1e-4; (B, 256)."""
    half = _WAVES // 2
    index = torch.arange(half, dtype=torch.float32, device=bucket.device)
    angle = bucket.float()[:, None] * torch.exp(-math.log(10000.0) / (half - 1) * index)
    return torch.cat([angle.cos(), angle.sin()], dim=-1)


class DiffusionTransformer(nn.Module):
    """Tokens (B, n, d), features as :meth:`remember` has them, and a time's bucket (B,) to readouts (B, n, hidden_dim)."""

    def __init__(self, config: FlowMatchingDitConfig) -> None:
        super().__init__()
        dim = config.token_dim
        self.timestep_encoder = TimestepEncoder(dim)
        self.transformer_blocks = nn.ModuleList(
            DitBlock(dim, config.heads, config.backbone_dim if index % 2 == 0 else dim, config.dropout)
            for index in range(config.layers)
        )
        self.proj_out_1 = nn.Linear(dim, 2 * dim)
        self.proj_out_2 = nn.Linear(dim, config.hidden_dim)

    def remember(self, features: Tensor) -> list[Memory]:
        """What the blocks that attend to features (B, m, backbone_dim) make of them. Once per chunk."""
        blocks = [block for block in self.transformer_blocks if isinstance(block, DitBlock)]
        return [block.attn1.remember(features) for block in blocks[::2]]

    def forward(self, tokens: Tensor, memories: list[Memory], bucket: Tensor) -> Tensor:
        time = self.timestep_encoder(bucket)
        x = tokens
        for index, block in enumerate(self.transformer_blocks):
            x = block(x, time, memories[index // 2] if index % 2 == 0 else None)
        shift, scale = self.proj_out_1(F.silu(time))[:, None].chunk(2, dim=-1)  # here the shift comes first
        return self.proj_out_2(F.layer_norm(x, x.shape[-1:], eps=_EPS_OUT) * (1.0 + scale) + shift)


class _SelfAttentionBlock(nn.Module):
    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, _EPS)
        self.attn1 = Attention(dim, heads, dim, dropout)
        self.norm3 = nn.LayerNorm(dim, _EPS)
        self.ff = FeedForward(dim, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm1(x)
        x = x + self.dropout(self.attn1(normed, self.attn1.remember(normed)))
        return x + self.ff(self.norm3(x))


class SelfAttentionTransformer(nn.Module):
    """Self-attention over features (B, m, backbone_dim), without positions."""

    def __init__(self, config: FlowMatchingDitConfig) -> None:
        super().__init__()
        self.transformer_blocks = nn.ModuleList(
            _SelfAttentionBlock(config.backbone_dim, config.vl_heads, config.dropout) for _ in range(config.vl_layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        for block in self.transformer_blocks:
            x = block(x)
        return x
