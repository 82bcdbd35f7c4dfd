"""The vision towers of OpenVLA: DINOv2 with registers and SigLIP, with the parameter names of timm.

Sources: Oquab et al., "DINOv2" (arXiv 2304.07193); Darcet et al., "Vision Transformers Need Registers" (arXiv 2309.16588);
Zhai et al., "Sigmoid Loss for Language Image Pre-Training" (arXiv 2303.15343). FiLM: arXiv 2502.19645, appendix.
"""

# calling a torch module gives Any
# mypy: no-warn-return-any
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vla_policies.openvla.config import TowerConfig

_NORM_EPS = 1e-6


class _Attention(nn.Module):
    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.proj = nn.Linear(config.width, config.width)
        self._heads = config.heads

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x).unflatten(-1, (3, self._heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


class _FeedForward(nn.Module):
    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.width, config.feedforward_dim)
        self.fc2 = nn.Linear(config.feedforward_dim, config.width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class _LayerScale(nn.Module):
    """timm's ``gamma``. In files of transformers it is ``scale_factor``, because there ``gamma`` is renamed on loading."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale_factor = nn.Parameter(torch.full((width,), 1e-5))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale_factor


class Block(nn.Module):
    """Attention, then a feed-forward part, each behind a norm and beside a residual."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, eps=_NORM_EPS)
        self.attn = _Attention(config)
        self.ls1 = _LayerScale(config.width) if config.layer_scale else nn.Identity()
        self.norm2 = nn.LayerNorm(config.width, eps=_NORM_EPS)
        self.mlp = _FeedForward(config)
        self.ls2 = _LayerScale(config.width) if config.layer_scale else nn.Identity()

    def forward(self, x: Tensor, language: Tensor | None = None) -> Tensor:
        """Tokens (B, n, width). ``language`` is for those that are modulated."""
        return self.feed_forward(self.attend(x))

    def attend(self, x: Tensor) -> Tensor:
        return x + self.ls1(self.attn(self.norm1(x)))

    def feed_forward(self, x: Tensor) -> Tensor:
        return x + self.ls2(self.mlp(self.norm2(x)))


class FilmBlock(nn.Module):
    """A block that language scales and shifts between its halves."""

    def __init__(self, config: TowerConfig, language_dim: int) -> None:
        super().__init__()
        self.block = Block(config)
        self.scale = nn.Linear(language_dim, config.width)
        self.shift = nn.Linear(language_dim, config.width)

    def forward(self, x: Tensor, language: Tensor) -> Tensor:
        """Tokens (B, n, width) and the mean embedding of the prompt (B, language_dim)."""
        x = self.block.attend(x)
        x = x * (1.0 + self.scale(language)[:, None]) + self.shift(language)[:, None]
        return self.block.feed_forward(x)


class _AttentionPool(nn.Module):
    """SigLIP's pooling, for its weights: the patches are taken before it."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.latent = nn.Parameter(torch.zeros(1, 1, config.width))
        self.q = nn.Linear(config.width, config.width)
        self.kv = nn.Linear(config.width, 2 * config.width)
        self.proj = nn.Linear(config.width, config.width)
        self.norm = nn.LayerNorm(config.width, eps=_NORM_EPS)
        self.mlp = _FeedForward(config)


class _PatchEmbedding(nn.Module):
    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, config.width, config.patch, stride=config.patch)

    def forward(self, images: Tensor) -> Tensor:
        return self.proj(images).flatten(2).transpose(1, 2)


class VisionTransformer(nn.Module):
    """Images (B, 3, size, size) to patches (B, n, width): what its last block but one gives, without a norm."""

    def __init__(self, config: TowerConfig, image_size: int, film_dim: int | None = None) -> None:
        """``film_dim``: width of the language that modulates the blocks, if it does."""
        super().__init__()
        width = config.width
        self.patch_embed = _PatchEmbedding(config)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width)) if config.class_token else None
        self.reg_token = nn.Parameter(torch.zeros(1, config.registers, width)) if config.registers else None
        self.pos_embed = nn.Parameter(torch.empty(1, (image_size // config.patch) ** 2, width).normal_(std=0.02))
        self.blocks = nn.ModuleList(
            Block(config) if film_dim is None else FilmBlock(config, film_dim) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(width, eps=_NORM_EPS)
        if config.attention_pool:
            self.attn_pool = _AttentionPool(config)

    def forward(self, images: Tensor, language: Tensor | None = None) -> Tensor:
        x = self.patch_embed(images) + self.pos_embed
        patches = x.shape[1]
        prefix = [token.expand(len(x), -1, -1) for token in (self.cls_token, self.reg_token) if token is not None]
        x = torch.cat([*prefix, x], dim=1)
        for block in self.blocks[:-1]:
            x = block(x, language)
        return x[:, -patches:]
