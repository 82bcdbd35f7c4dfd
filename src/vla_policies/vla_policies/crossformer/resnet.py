"""The image encoder of CrossFormer: a ResNet of bottleneck units with standardised kernels, group norms, and FiLM on language.

Source: rail-berkeley/crossformer, ``model/components/vit_encoders.py``; the units are those of Kolesnikov et al., "Big
Transfer" (arXiv 1912.11370), after the activation; FiLM is Perez et al. (arXiv 1709.07871). The reference was written for
TensorFlow's padding ``SAME``, which puts the odd pixel at the end, where torch's own padding puts it at both ends.
"""

# calling a torch module gives Any
# mypy: no-warn-return-any
from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from vla_policies.crossformer.config import EXPANSION, ResNetShape

_STANDARDISATION_EPS = 1e-5
_NORM_EPS = 1e-6


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Pixels to add before and after, so that ``ceil(size / stride)`` come out."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def pad_same(x: Tensor, kernel: int, stride: int, value: float = 0.0) -> Tensor:
    """Pads images (B, C, H, W) for a square kernel."""
    rows = same_padding(x.shape[-2], kernel, stride)
    columns = same_padding(x.shape[-1], kernel, stride)
    return x if not any(rows + columns) else F.pad(x, (*columns, *rows), value=value)


class StandardisedConv(nn.Conv2d):
    """A convolution without bias whose kernels are brought to mean 0 and standard deviation 1 before each use."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__(channels_in, channels_out, kernel, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        mean = self.weight.mean(dim=(1, 2, 3), keepdim=True)
        deviation = self.weight.std(dim=(1, 2, 3), keepdim=True, unbiased=False)
        kernel = (self.weight - mean) / (deviation + _STANDARDISATION_EPS)
        return F.conv2d(pad_same(x, self.kernel_size[0], self.stride[0]), kernel, stride=self.stride)


class Film(nn.Module):
    """Scales and shifts the channels of a feature map by functions of an embedding. Untrained, it changes nothing."""

    def __init__(self, embedding_dim: int, channels: int) -> None:
        super().__init__()
        self.scale = nn.Linear(embedding_dim, channels)
        self.shift = nn.Linear(embedding_dim, channels)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Features (B, C, h, w) and embeddings (B, e)."""
        return x * (1.0 + self.scale(embedding)[:, :, None, None]) + self.shift(embedding)[:, :, None, None]


class _Unit(nn.Module):
    """1x1, 3x3 and 1x1 convolution beside an identity, or beside a projection where the shape changes."""

    def __init__(self, channels_in: int, width: int, stride: int, norm_groups: int) -> None:
        super().__init__()
        channels_out = EXPANSION * width
        self.conv1 = StandardisedConv(channels_in, width, 1)
        self.gn1 = _norm(norm_groups, width)
        self.conv2 = StandardisedConv(width, width, 3, stride)
        self.gn2 = _norm(norm_groups, width)
        self.conv3 = StandardisedConv(width, channels_out, 1)
        self.gn3 = _norm(norm_groups, channels_out)
        self.conv_proj: StandardisedConv | None = None
        if channels_in != channels_out or stride != 1:
            self.conv_proj = StandardisedConv(channels_in, channels_out, 1, stride)
            self.gn_proj = _norm(norm_groups, channels_out)

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.conv_proj is None else self.gn_proj(self.conv_proj(x))
        x = F.relu(self.gn1(self.conv1(x)))
        x = F.relu(self.gn2(self.conv2(x)))
        return F.relu(self.gn3(self.conv3(x)) + identity)


class ResNet(nn.Module):
    """Images (B, C, H, W) to features (B, shape.channels, h, w); with an embedding, FiLM after every stage but the first."""

    def __init__(self, shape: ResNetShape, channels_in: int, embedding_dim: int | None = None) -> None:
        super().__init__()
        self.conv_root = StandardisedConv(channels_in, shape.width, 7, stride=2)
        self.gn_root = _norm(shape.norm_groups, shape.width)
        self.stages = nn.ModuleList()
        self.film = nn.ModuleList()
        channels = shape.width
        for stage, units in enumerate(shape.units):
            width = shape.width * 2**stage
            made = []
            for unit in range(units):
                stride = 2 if stage > 0 and unit == 0 else 1
                made.append(_Unit(channels, width, stride, shape.norm_groups))
                channels = EXPANSION * width
            self.stages.append(nn.Sequential(*made))
            if stage > 0 and embedding_dim is not None:
                self.film.append(Film(embedding_dim, channels))

    def forward(self, image: Tensor, embedding: Tensor | None = None) -> Tensor:
        """``embedding`` (B, e) exactly if the encoder was made with one."""
        x = F.relu(self.gn_root(self.conv_root(image)))
        x = F.max_pool2d(pad_same(x, 3, 2, value=-float("inf")), 3, stride=2)
        x = self.stages[0](x)
        for number, stage in enumerate(self.stages[1:]):
            x = stage(x)
            if self.film:
                x = self.film[number](x, embedding)
        return x


def _norm(groups: int, channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(groups, channels, eps=_NORM_EPS)
