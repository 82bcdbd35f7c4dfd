"""SigLIP's vision transformer: an image to one token per patch.

Source: Zhai et al., "Sigmoid Loss for Language Image Pre-Training" (arXiv 2303.15343); parameter names are those of PaliGemma's
checkpoints.
"""

# calling a torch module gives Any
# mypy: no-warn-return-any
from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from vla_policies.pi0.config import SiglipShape

_EPS = 1e-6


class _Embeddings(nn.Module):
    def __init__(self, shape: SiglipShape) -> None:
        super().__init__()
        self.patch_embedding = nn.Conv2d(3, shape.width, shape.patch, stride=shape.patch)
        self.position_embedding = nn.Embedding((shape.image // shape.patch) ** 2, shape.width)

    def forward(self, image: Tensor) -> Tensor:
        patches = self.patch_embedding(image.to(self.patch_embedding.weight.dtype))
        return patches.flatten(2).transpose(1, 2) + self.position_embedding.weight


class _Attention(nn.Module):
    def __init__(self, shape: SiglipShape) -> None:
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(shape.width, shape.width) for _ in range(4))
        self._heads = shape.heads

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            projection(x).unflatten(-1, (self._heads, -1)).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        return self.out_proj(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


class _Mlp(nn.Module):
    def __init__(self, shape: SiglipShape) -> None:
        super().__init__()
        self.fc1 = nn.Linear(shape.width, shape.mlp_dim)
        self.fc2 = nn.Linear(shape.mlp_dim, shape.width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class _Layer(nn.Module):
    def __init__(self, shape: SiglipShape) -> None:
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(shape.width, _EPS)
        self.self_attn = _Attention(shape)
        self.layer_norm2 = nn.LayerNorm(shape.width, _EPS)
        self.mlp = _Mlp(shape)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class _Encoder(nn.Module):
    def __init__(self, shape: SiglipShape) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_Layer(shape) for _ in range(shape.depth))


class _Transformer(nn.Module):
    def __init__(self, shape: SiglipShape) -> None:
        super().__init__()
        self.embeddings = _Embeddings(shape)
        self.encoder = _Encoder(shape)
        self.post_layernorm = nn.LayerNorm(shape.width, _EPS)


class SiglipTower(nn.Module):
    """Image (B, 3, H, W) from -1 to 1 to tokens (B, n, width), row by row."""

    def __init__(self, shape: SiglipShape) -> None:
        super().__init__()
        self.vision_model = _Transformer(shape)
        self._size = shape.image
        for embedding in (self.vision_model.embeddings.position_embedding,):
            nn.init.normal_(embedding.weight, std=shape.width**-0.5)

    def forward(self, image: Tensor) -> Tensor:
        if image.shape[-2:] != (self._size, self._size):
            raise ValueError(f"expected images of {self._size}x{self._size}, found {tuple(image.shape)}")
        x = self.vision_model.embeddings(image).to(self.vision_model.post_layernorm.weight.dtype)
        for layer in self.vision_model.encoder.layers:
            x = layer(x)
        return self.vision_model.post_layernorm(x)


class Projector(nn.Module):
    """From the vision tower's width to the language model's."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width_in, width_out)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.linear(tokens)
