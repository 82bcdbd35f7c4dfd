"""Images as OpenVLA saw them in training: resampled to a square, and their middle enlarged, whole levels from 0 to 255 each time.

Its training crops images at random; the policy then looks at the middle nine tenths. Both are done with TensorFlow there
(``tf.image.resize``, ``tf.image.crop_and_resize``), whose arithmetic this is.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

CROPPED_AREA = 0.9
_WHITE = 255.0


def resize(image: Tensor, size: int, kernel: str) -> Tensor:
    """An image (B, 3, H, W) from 0 to 1 as a square of ``size``, whatever its shape; itself, if it is one.

    Args:
        image: float32.
        size: width and height [px].
        kernel: ``lanczos3``, or ``bicubic`` as Pillow has it. Where the image shrinks, both are as wide as what becomes a pixel.
    """
    height, width = image.shape[-2:]
    if (height, width) == (size, size):
        return image
    rows, columns = (
        _resampling(length, size, *_KERNELS[kernel], image.device).to(image.dtype) for length in (height, width)
    )
    return (rows @ image @ columns.T * _WHITE).round().clamp(0.0, _WHITE) / _WHITE


def crop_centre(image: Tensor) -> Tensor:
    """The middle of an image (B, 3, n, n) from 0 to 1, ``CROPPED_AREA`` of its area, at the size of the whole (bilinear)."""
    size = image.shape[-1]
    places = torch.linspace(-1.0, 1.0, size, device=image.device) * math.sqrt(CROPPED_AREA)
    rows, columns = torch.meshgrid(places, places, indexing="ij")
    grid = torch.stack([columns, rows], dim=-1).expand(len(image), -1, -1, -1).to(image)
    cropped = F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=True)
    return (cropped.clamp(0.0, 1.0) * (_WHITE + 0.5)).floor().clamp_max(_WHITE) / _WHITE


def _resampling(
    length: int, size: int, kernel: Callable[[Tensor], Tensor], radius: float, device: torch.device
) -> Tensor:
    """The matrix (size, length) that resamples a row."""
    scale = length / size
    stretch = max(scale, 1.0)
    middles = (torch.arange(size, dtype=torch.float64, device=device) + 0.5) * scale
    distances = (torch.arange(length, dtype=torch.float64, device=device) + 0.5 - middles[:, None]).abs() / stretch
    weights = torch.where(distances < radius, kernel(distances), 0.0)
    return (weights / weights.sum(dim=1, keepdim=True)).float()


def _lanczos3(x: Tensor) -> Tensor:
    return torch.sinc(x) * torch.sinc(x / 3.0)


def _bicubic(x: Tensor) -> Tensor:
    """Keys' cubic with a = -1/2."""
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return torch.where(x < 1.0, near, far)


_KERNELS: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "lanczos3": (_lanczos3, 3.0),
    "bicubic": (_bicubic, 2.0),
}
