"""Llama, with the parameter names of transformers' ``LlamaForCausalLM``, with causal attention or with attention both ways.

Source: Touvron et al., "Llama 2" (arXiv 2307.09288); rotary positions: Su et al., "RoFormer" (arXiv 2104.09864), where the
numbers i and i + n / 2 of a head are the two of a pair.
"""

# calling a torch module gives Any
# mypy: no-warn-return-any
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vla_policies.openvla.config import LanguageConfig

Cache = list[tuple[Tensor, Tensor]]


class _RmsNorm(nn.Module):
    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self._eps = eps

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        return self.weight * (wide * (wide.square().mean(dim=-1, keepdim=True) + self._eps).rsqrt()).to(x.dtype)


class _Attention(nn.Module):
    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        dim = config.hidden_dim
        self.q_proj = nn.Linear(dim, dim, bias=False)
        self.k_proj = nn.Linear(dim, dim, bias=False)
        self.v_proj = nn.Linear(dim, dim, bias=False)
        self.o_proj = nn.Linear(dim, dim, bias=False)
        self._heads = config.heads

    def forward(
        self, x: Tensor, rotation: tuple[Tensor, Tensor], mask: Tensor | None, earlier: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        query, key, value = (
            projection(x).unflatten(-1, (self._heads, -1)).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        query, key = _rotate(query, rotation), _rotate(key, rotation)
        if earlier is not None:
            key, value = torch.cat([earlier[0], key], dim=2), torch.cat([earlier[1], value], dim=2)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.o_proj(attended.transpose(1, 2).flatten(2)), (key, value)


class _FeedForward(nn.Module):
    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_dim, config.feedforward_dim, bias=False)
        self.up_proj = nn.Linear(config.hidden_dim, config.feedforward_dim, bias=False)
        self.down_proj = nn.Linear(config.feedforward_dim, config.hidden_dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class _Layer(nn.Module):
    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.self_attn = _Attention(config)
        self.mlp = _FeedForward(config)
        self.input_layernorm = _RmsNorm(config.hidden_dim, config.norm_eps)
        self.post_attention_layernorm = _RmsNorm(config.hidden_dim, config.norm_eps)

    def forward(
        self, x: Tensor, rotation: tuple[Tensor, Tensor], mask: Tensor | None, earlier: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        attended, cache = self.self_attn(self.input_layernorm(x), rotation, mask, earlier)
        x = x + attended
        return x + self.mlp(self.post_attention_layernorm(x)), cache


class LlamaModel(nn.Module):
    """Embeddings (B, L, d) to hidden states (B, L, d), after the last norm."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.padded_vocabulary, config.hidden_dim)
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.layers))
        self.norm = _RmsNorm(config.hidden_dim, config.norm_eps)
        self._config = config

    def forward(
        self, x: Tensor, is_there: Tensor | None = None, causal: bool = False, cache: Cache | None = None
    ) -> tuple[Tensor, Cache]:
        """Runs the layers.

        Args:
            x: embeddings (B, L, d), which go on where the cache ends.
            is_there: which of all positions, those of the cache too, are no padding (B, L'); None: all of them. Padding has no
                position and nobody attends to it.
            causal: no position attends to later ones.
            cache: keys and values of earlier positions, as this returned them.

        Returns:
            Hidden states, and keys and values of all positions.
        """
        earlier = cache[0][0].shape[2] if cache else 0
        mask, positions = _mask_and_positions(x, earlier, is_there, causal)
        rotation = _rotation(positions, self._config, x)
        seen: Cache = []
        for index, layer in enumerate(self.layers):
            x, layer_cache = layer(x, rotation, mask, cache[index] if cache else None)
            seen.append(layer_cache)
        return self.norm(x), seen


class LanguageModel(nn.Module):
    """A Llama with its head over the vocabulary."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.model = LlamaModel(config)
        self.lm_head = nn.Linear(config.hidden_dim, config.padded_vocabulary, bias=False)


def _mask_and_positions(x: Tensor, earlier: int, is_there: Tensor | None, causal: bool) -> tuple[Tensor | None, Tensor]:
    """Who attends to whom, (B or 1, 1, L, L') bool or None for all to all, and positions (B or 1, L)."""
    new, total = x.shape[1], earlier + x.shape[1]
    order = torch.arange(total, device=x.device)
    mask = (order[None, :] <= order[earlier:, None])[None, None] if causal and new > 1 else None
    if is_there is None:
        return mask, order[None, earlier:]
    keys = is_there[:, None, None, :].expand(-1, 1, new, -1)
    positions = (is_there.long().cumsum(dim=1) - 1).clamp_min(0)
    return keys if mask is None else keys & mask, positions[:, earlier:]


def _rotation(positions: Tensor, config: LanguageConfig, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines (B or 1, 1, L, head width) of the rotary positions (B or 1, L)."""
    width = config.hidden_dim // config.heads
    exponents = torch.arange(0, width, 2, device=positions.device).float() / width
    angles = positions[..., None].float() / config.rope_theta**exponents
    angles = torch.cat([angles, angles], dim=-1)[:, None]
    return angles.cos().to(like.dtype), angles.sin().to(like.dtype)


def _rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * rotation[0] + torch.cat([-second, first], dim=-1) * rotation[1]
