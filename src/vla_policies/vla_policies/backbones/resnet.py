"""ResNet-18 with frozen batch normalisation, as ACT and DETR use it.

Source: He et al., "Deep Residual Learning for Image Recognition" (arXiv 1512.03385), table 1, 18 layers. The parameter names
are torchvision's, so that ``backbones.0.0.body.*`` of an original ACT checkpoint and ``backbone.*`` of a LeRobot one fit.
"""

# calling a torch module gives Any
# mypy: no-warn-return-any
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_WIDTHS = (64, 128, 256, 512)


class FrozenBatchNorm2d(nn.Module):
    """Batch normalisation whose parameters are all fixed: from batches of a few images they cannot be learned.

    The four vectors are buffers, so no optimiser sees them. Source: DETR, ``models/backbone.py``.
    """

    EPS = 1e-5
    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.ones(channels))
        self.register_buffer("bias", torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        scale = self.weight * (self.running_var + self.EPS).rsqrt()
        shift = self.bias - self.running_mean * scale
        return x * scale[:, None, None] + shift[:, None, None]


class _BasicBlock(nn.Module):
    """Two 3x3 convolutions beside an identity, or beside a strided 1x1 convolution where the shape changes."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.bn1 = FrozenBatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn2 = FrozenBatchNorm2d(channels_out)
        self.downsample = None
        if stride != 1 or channels_in != channels_out:
            shortcut = nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, FrozenBatchNorm2d(channels_out))

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(x)) + identity)


class ResNet18(nn.Module):
    """Image (B, 3, H, W) to features (B, 512, ceil(H / 32), ceil(W / 32))."""

    channels = 512

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = FrozenBatchNorm2d(64)
        self.layer1 = _layer(64, _WIDTHS[0], stride=1)
        self.layer2 = _layer(_WIDTHS[0], _WIDTHS[1], stride=2)
        self.layer3 = _layer(_WIDTHS[1], _WIDTHS[2], stride=2)
        self.layer4 = _layer(_WIDTHS[2], _WIDTHS[3], stride=2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(image)))
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


def _layer(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(_BasicBlock(channels_in, channels_out, stride), _BasicBlock(channels_out, channels_out, 1))
