"""Gemma's transformer layers, with the norms of the language model or the adaptive ones of the action expert.

Source: Gemma Team, "Gemma: Open Models Based on Gemini Research and Technology" (arXiv 2403.08295), section 2; the adaptive
norm is that of DiT (arXiv 2212.09748) on RMS norms, as Physical-Intelligence/openpi has it. Parameter names are those of its
checkpoints.
"""

# calling a torch module gives Any
# mypy: no-warn-return-any
from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vla_policies.pi0.config import GemmaShape

_EPS = 1e-6
_ROPE_BASE = 10_000.0
_MASKED = -2.3819763e38  # finite, so that a query that may attend to nothing gives numbers


class KeysValues(NamedTuple):
    """What a layer's tokens can be attended by: keys and values, each (B, kv_heads, n, head_dim)."""

    keys: Tensor
    values: Tensor


class RmsNorm(nn.Module):
    """Root-mean-square norm; its weight is stored as the offset from 1. Computes in 32 bits."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Tokens (B, n, d) to normalised ones and no gate."""
        return (_normalised(x) * (1.0 + self.weight.float())).to(x.dtype), None


class AdaptiveRmsNorm(nn.Module):
    """Root-mean-square norm whose scale and shift, and the gate of the residual that it begins, follow a condition."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, 3 * width)
        for parameter in self.dense.parameters():  # begins as a plain norm, with its residual shut, as DiT does
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Tokens (B, n, d) and a condition (B, 1 or n, d) to normalised tokens and gates (B, 1 or n, d)."""
        if condition is None:
            raise ValueError("expected a condition for an adaptive norm, found None")
        scale, shift, gate = self.dense(condition.to(self.dense.weight.dtype)).chunk(3, dim=-1)
        return (_normalised(x) * (1.0 + scale.float()) + shift.float()).to(x.dtype), gate.to(x.dtype)


class _Attention(nn.Module):
    def __init__(self, shape: GemmaShape) -> None:
        super().__init__()
        self.q_proj = nn.Linear(shape.width, shape.heads * shape.head_dim, bias=False)
        self.k_proj = nn.Linear(shape.width, shape.kv_heads * shape.head_dim, bias=False)
        self.v_proj = nn.Linear(shape.width, shape.kv_heads * shape.head_dim, bias=False)
        self.o_proj = nn.Linear(shape.heads * shape.head_dim, shape.width, bias=False)


class _Mlp(nn.Module):
    def __init__(self, shape: GemmaShape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.width, shape.mlp_dim, bias=False)
        self.up_proj = nn.Linear(shape.width, shape.mlp_dim, bias=False)
        self.down_proj = nn.Linear(shape.mlp_dim, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.gelu(self.gate_proj(x), approximate="tanh") * self.up_proj(x))


class GemmaLayer(nn.Module):
    """Attention and a gated feed-forward part, each behind a norm and beside an identity."""

    def __init__(self, shape: GemmaShape, adaptive: bool) -> None:
        super().__init__()
        norm = AdaptiveRmsNorm if adaptive else RmsNorm
        self.self_attn = _Attention(shape)
        self.mlp = _Mlp(shape)
        self.input_layernorm = norm(shape.width)
        self.post_attention_layernorm = norm(shape.width)
        self._head_dim = shape.head_dim

    def keys_values(self, x: Tensor, rotation: Tensor) -> KeysValues:
        """What tokens (B, n, d) offer to others; all that is needed of the last layer of a model whose output nobody uses."""
        normalised, _ = self.input_layernorm(x)
        return self._keys_values(normalised, rotation)

    def forward(
        self,
        x: Tensor,
        rotation: Tensor,
        bias: Tensor,
        condition: Tensor | None = None,
        known: KeysValues | None = None,
    ) -> tuple[Tensor, KeysValues]:
        """One layer.

        Args:
            x: tokens (B, n, d).
            rotation: of their positions, see :func:`rotations`.
            bias: of the attention, see :func:`attention_bias`; over the known tokens, then these.
            condition: for adaptive norms.
            known: tokens of the same layer that these attend to, too.

        Returns:
            The tokens, and what they offer to others.
        """
        normalised, gate = self.input_layernorm(x, condition)
        own = self._keys_values(normalised, rotation)
        keys, values = own if known is None else (torch.cat(pair, dim=2) for pair in zip(known, own, strict=True))
        query = rotated(self._split(self.self_attn.q_proj(normalised)), rotation)
        groups = query.shape[1] // keys.shape[1]
        attended = F.scaled_dot_product_attention(
            query, keys.repeat_interleave(groups, dim=1), values.repeat_interleave(groups, dim=1), bias.to(query.dtype)
        )
        x = _residual(x, self.self_attn.o_proj(attended.transpose(1, 2).flatten(2)), gate)
        normalised, gate = self.post_attention_layernorm(x, condition)
        return _residual(x, self.mlp(normalised), gate), own

    def _keys_values(self, normalised: Tensor, rotation: Tensor) -> KeysValues:
        keys = rotated(self._split(self.self_attn.k_proj(normalised)), rotation)
        return KeysValues(keys, self._split(self.self_attn.v_proj(normalised)))

    def _split(self, x: Tensor) -> Tensor:
        """(B, n, heads * head_dim) to (B, heads, n, head_dim)."""
        return x.reshape(*x.shape[:2], -1, self._head_dim).transpose(1, 2)


class GemmaStack(nn.Module):
    """The layers and the last norm; the language model has the table of its tokens, too."""

    def __init__(self, shape: GemmaShape, vocabulary: int | None, adaptive: bool) -> None:
        super().__init__()
        if vocabulary is not None:
            self.embed_tokens = nn.Embedding(vocabulary, shape.width)
            nn.init.normal_(self.embed_tokens.weight, std=shape.width**-0.5)
        self.layers = nn.ModuleList(GemmaLayer(shape, adaptive) for _ in range(shape.depth))
        self.norm = (AdaptiveRmsNorm if adaptive else RmsNorm)(shape.width)


def rotations(positions: Tensor, head_dim: int) -> Tensor:
    """Cosines and sines (2, B, 1, n, head_dim / 2) by which tokens at positions (B, n) turn their queries and keys."""
    exponent = torch.arange(0, head_dim, 2, dtype=torch.float32, device=positions.device) / head_dim
    angle = positions[:, None, :, None].float() / _ROPE_BASE**exponent
    return torch.stack([angle.cos(), angle.sin()])


def rotated(x: Tensor, rotation: Tensor) -> Tensor:
    """Turns the pairs of first and second half of (B, heads, n, head_dim)."""
    cos, sin = rotation.to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def attention_bias(allowed: Tensor) -> Tensor:
    """What is added to the attention's scores: nothing where (B, query, key) is allowed; (B, 1, query, key)."""
    return torch.where(allowed, 0.0, _MASKED)[:, None]


def _normalised(x: Tensor) -> Tensor:
    wide = x.float()
    return wide * torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + _EPS)


def _residual(x: Tensor, y: Tensor, gate: Tensor | None) -> Tensor:
    return x + y if gate is None else x + y * gate
