"""A small convolutional backbone that learns from scratch, on a processor, from a few hundred demonstrations."""

# calling a torch module gives Any
# mypy: no-warn-return-any
from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

_CHANNELS_PER_GROUP = 8


class _ResidualBlock(nn.Module):
    """A 3x3 convolution with group normalisation beside an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = _norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.norm(self.conv(x)), inplace=True)


class SmallCnn(nn.Module):
    """Image (B, 3, H, W) to features (B, 64, H / 4, W / 4).

    The first convolution strides by 4 at once: at full resolution memory traffic, not arithmetic, takes most of the time on
    a processor. Group normalisation needs no batch statistics, so that it does the same at batch size 1.
    """

    channels = 64

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 8, stride=4, padding=2, bias=False)
        self.stem_norm = _norm(32)
        self.widen = nn.Conv2d(32, self.channels, 3, padding=1, bias=False)
        self.widen_norm = _norm(self.channels)
        self.blocks = nn.Sequential(_ResidualBlock(self.channels), _ResidualBlock(self.channels))

    def forward(self, image: Tensor) -> Tensor:
        x = F.relu(self.stem_norm(self.stem(image)), inplace=True)
        x = F.relu(self.widen_norm(self.widen(x)), inplace=True)
        return self.blocks(x)


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(channels // _CHANNELS_PER_GROUP, channels)
