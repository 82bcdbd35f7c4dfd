"""Images as OpenVLA saw them in training: resampled to a square, and their middle enlarged, whole levels from 0 to 255 each time.

Its training crops images at random; the policy then looks at the middle nine tenths. Both are done with TensorFlow there
(``tf.image.resize``, ``tf.image.crop_and_resize``), whose arithmetic this is.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from vla_policies.transforms.resampling import resample

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
    return (resample(image, size, size, kernel) * _WHITE).round().clamp(0.0, _WHITE) / _WHITE


def crop_centre(image: Tensor) -> Tensor:
    """The middle of an image (B, 3, n, n) from 0 to 1, ``CROPPED_AREA`` of its area, at the size of the whole (bilinear)."""
    size = image.shape[-1]
    places = torch.linspace(-1.0, 1.0, size, device=image.device) * math.sqrt(CROPPED_AREA)
    rows, columns = torch.meshgrid(places, places, indexing="ij")
    grid = torch.stack([columns, rows], dim=-1).expand(len(image), -1, -1, -1).to(image)
    cropped = F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=True)
    return (cropped.clamp(0.0, 1.0) * (_WHITE + 0.5)).floor().clamp_max(_WHITE) / _WHITE
