"""A small convolutional backbone that learns from scratch, on a processor, from about a hundred demonstrations."""

# calling a torch module gives Any
# mypy: no-warn-return-any

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

_CHANNELS_PER_GROUP = 8


class _ConvBlock(nn.Module):
    """Convolution, group normalisation and ReLU, beside an identity where the shape stays the same.

    Group normalisation needs no statistics of the batch, so it does the same with one image as with many.
    """

    def __init__(self, channels_in: int, channels_out: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        padding = (kernel - stride + 1) // 2
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, padding, bias=False)
        self.norm = nn.GroupNorm(channels_out // _CHANNELS_PER_GROUP, channels_out)
        self._residual = channels_in == channels_out and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(x))
        return F.relu(x + y if self._residual else y)


class SmallCnn(nn.Module):
    """Image (B, 3, H, W) to features (B, 64, H / 8, W / 8), rounded up.

    The first convolution strides by 4, which keeps an image of 128x96 at 30 million multiplications: a processor core does
    that about 500 times a second, forwards and backwards.
    """

    channels = 64

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _ConvBlock(3, 32, kernel=8, stride=4),
            _ConvBlock(32, 32),
            _ConvBlock(32, 64, stride=2),
            _ConvBlock(64, 64),
            _ConvBlock(64, 64),
        )

    def forward(self, image: Tensor) -> Tensor:
        return self.layers(image)
