"""From a backbone's feature map to the tokens of one camera that the transformer sees."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vla_policies.act.position import sine_positions_2d
from vla_policies.backbones.key_points import key_points


class FeatureMapTokens(nn.Module):
    """Every cell of the feature map is a token, with a sine encoding of its row and column as its position.

    Source: tonyzhaozh/act, ``detr/models/detr_vae.py``: a 1x1 convolution, then the cells row by row.
    """

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(channels, dim, 1)
        self._dim = dim

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, C, h, w) to tokens (B, h * w, d) and their positions (h * w, d)."""
        tokens = self.projection(features).flatten(2).transpose(1, 2)
        height, width = features.shape[-2:]
        positions = sine_positions_2d(height, width, self._dim, features.device).flatten(1).T
        return tokens, positions.to(features.dtype)


class KeyPointTokens(nn.Module):
    """One token: where in the image each channel of the feature map is most active, by a spatial softmax.

    A key point is the mean image position under the softmax of its channel, so it says where something is to a fraction of a
    cell, and needs few demonstrations to be learned.
    Source: Levine et al., "End-to-End Training of Deep Visuomotor Policies" (arXiv 1504.00702), section 5.1.
    """

    def __init__(self, channels: int, dim: int, key_points: int) -> None:
        super().__init__()
        self.attention = nn.Conv2d(channels, key_points, 1)
        self.projection = nn.Linear(2 * key_points, dim)
        self.position = nn.Parameter(torch.empty(1, dim).normal_(std=0.02))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, C, h, w) to one token (B, 1, d) and its learned position (1, d)."""
        return self.projection(self.key_points(features).flatten(1))[:, None], self.position

    def key_points(self, features: Tensor) -> Tensor:
        """Features (B, C, h, w) to key points (B, n, 2): column and row, each from -1 (first) to 1 (last)."""
        return key_points(self.attention(features))
