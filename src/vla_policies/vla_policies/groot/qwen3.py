"""Qwen3's transformer, without what turns its features into text. Parameter names are those of transformers.

Source: Qwen team, "Qwen3 Technical Report" (arXiv 2505.09388): grouped-query attention with a norm on queries and keys,
rotary positions (arXiv 2104.09864), SwiGLU.
"""

# calling a torch module gives Any
# mypy: no-warn-return-any
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vla_policies.groot.config import Qwen3Shape

_EPS = 1e-6


class RmsNorm(nn.Module):
    """The root mean square is taken in 32 bits."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        return self.weight * (wide * (wide.square().mean(dim=-1, keepdim=True) + _EPS).rsqrt()).to(x.dtype)


class _Attention(nn.Module):
    def __init__(self, shape: Qwen3Shape) -> None:
        super().__init__()
        self.q_proj = nn.Linear(shape.width, shape.heads * shape.head_dim, bias=False)
        self.k_proj = nn.Linear(shape.width, shape.kv_heads * shape.head_dim, bias=False)
        self.v_proj = nn.Linear(shape.width, shape.kv_heads * shape.head_dim, bias=False)
        self.o_proj = nn.Linear(shape.heads * shape.head_dim, shape.width, bias=False)
        self.q_norm = RmsNorm(shape.head_dim)
        self.k_norm = RmsNorm(shape.head_dim)
        self._head_dim = shape.head_dim

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor], allowed: Tensor) -> Tensor:
        query, key, value = (
            projection(x).unflatten(-1, (-1, self._head_dim)) for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        query, key = _rotated(self.q_norm(query), rotation), _rotated(self.k_norm(key), rotation)
        query, key, value = (part.transpose(1, 2) for part in (query, key, value))
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed, enable_gqa=True)
        return self.o_proj(attended.transpose(1, 2).flatten(2))


class _Mlp(nn.Module):
    def __init__(self, shape: Qwen3Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.width, shape.mlp_dim, bias=False)
        self.up_proj = nn.Linear(shape.width, shape.mlp_dim, bias=False)
        self.down_proj = nn.Linear(shape.mlp_dim, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class _Layer(nn.Module):
    def __init__(self, shape: Qwen3Shape) -> None:
        super().__init__()
        self.self_attn = _Attention(shape)
        self.mlp = _Mlp(shape)
        self.input_layernorm = RmsNorm(shape.width)
        self.post_attention_layernorm = RmsNorm(shape.width)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor], allowed: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), rotation, allowed)
        return x + self.mlp(self.post_attention_layernorm(x))


class Qwen3(nn.Module):
    """Embedded tokens (B, T, d) to features (B, T, d): what the last layer gives, normed."""

    def __init__(self, shape: Qwen3Shape) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(_Layer(shape) for _ in range(shape.layers))
        self.norm = RmsNorm(shape.width)
        self._shape = shape

    def forward(self, embedded: Tensor, mask: Tensor) -> Tensor:
        """Tokens attend to themselves and to those before them; where ``mask`` (B, T) bool is False there is only padding.

        Positions are counted from the first column on, padding included, as in the reference. A padded token attends to itself
        alone; only GR00T's head looks at what becomes of it.
        """
        length = embedded.shape[1]
        column = torch.arange(length, device=embedded.device)
        earlier = column[:, None] >= column
        allowed = (earlier & mask[:, None]) | torch.eye(length, dtype=torch.bool, device=embedded.device)
        rotation = _rotation(column, self._shape, embedded.dtype)
        x = embedded
        for layer in self.layers:
            x = layer(x, rotation, allowed[:, None])
        return self.norm(x)


class CausalLanguageModel(nn.Module):
    """Qwen3 under the names of a checkpoint. Its ``lm_head`` is the table of its tokens once more, and nothing here uses it."""

    def __init__(self, shape: Qwen3Shape) -> None:
        super().__init__()
        self.model = Qwen3(shape)
        self.lm_head = nn.Linear(shape.width, shape.vocabulary, bias=False)
        self.lm_head.weight = self.model.embed_tokens.weight


def _rotation(position: Tensor, shape: Qwen3Shape, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the angles of a head's pairs, each (T, 1, head_dim)."""
    index = torch.arange(0, shape.head_dim, 2, dtype=torch.float32, device=position.device)
    angle = position.float()[:, None] * shape.rope_theta ** (-index / shape.head_dim)
    angle = torch.cat([angle, angle], dim=-1)[:, None]
    return angle.cos().to(dtype), angle.sin().to(dtype)


def _rotated(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Turns (B, T, heads, head_dim): the numbers i and i + head_dim / 2 of a head are a pair."""
    cosine, sine = rotation
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat([-second, first], dim=-1) * sine
