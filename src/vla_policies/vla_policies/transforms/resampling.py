"""Images at another size, as Pillow and TensorFlow (with ``antialias=True``) resample them: shrinking skips no pixel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

Kernel = Literal["bilinear", "bicubic", "lanczos3"]


def resample(images: Tensor, height: int, width: int, kernel: str) -> Tensor:
    """Images (..., H, W) of floating-point numbers as (..., height, width); what rings beyond black and white is not cut off.

    Args:
        images: any range of brightness.
        height: wanted [px].
        width: wanted [px].
        kernel: a key of ``KERNELS``. Where an image shrinks, its kernel is as much wider as the image is smaller.
    """
    rows, columns = (
        resampling_matrix(length, wanted, kernel, images.device).to(images.dtype)
        for length, wanted in zip(images.shape[-2:], (height, width), strict=True)
    )
    return rows @ images @ columns.T


def resampling_matrix(length: int, size: int, kernel: str, device: torch.device) -> Tensor:
    """The matrix (size, length) float32 that resamples a row."""
    function, radius = KERNELS[kernel]
    scale = length / size
    stretch = max(scale, 1.0)
    middles = (torch.arange(size, dtype=torch.float64, device=device) + 0.5) * scale
    distances = (torch.arange(length, dtype=torch.float64, device=device) + 0.5 - middles[:, None]).abs() / stretch
    weights = torch.where(distances < radius, function(distances), 0.0)
    return (weights / weights.sum(dim=1, keepdim=True)).float()


def _bilinear(x: Tensor) -> Tensor:
    return 1.0 - x


def _lanczos3(x: Tensor) -> Tensor:
    return torch.sinc(x) * torch.sinc(x / 3.0)


def _bicubic(x: Tensor) -> Tensor:
    """Keys' cubic with a = -1/2."""
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return torch.where(x < 1.0, near, far)


KERNELS: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "bilinear": (_bilinear, 1.0),
    "bicubic": (_bicubic, 2.0),
    "lanczos3": (_lanczos3, 3.0),
}
