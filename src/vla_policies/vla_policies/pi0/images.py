"""Images at the size that the vision tower wants, whole, with black beside or above and below them."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

_BLACK = -1.0


def resize_with_pad(image: Tensor, size: int, antialias: bool = True) -> Tensor:
    """An image (B, 3, H, W) from -1 to 1 as large as it fits into the middle of a black square (B, 3, size, size).

    Args:
        image: itself, if it is of that size.
        size: width and height [px].
        antialias: average over what becomes one pixel, as the image libraries do with which openpi prepares images;
            LeRobot interpolates between four pixels only.
    """
    height, width = image.shape[-2:]
    if (height, width) == (size, size):
        return image
    ratio = max(width, height) / size
    new_height, new_width = max(1, int(height / ratio)), max(1, int(width / ratio))
    resized = F.interpolate(
        image, (new_height, new_width), mode="bilinear", align_corners=False, antialias=antialias
    ).clamp(_BLACK, -_BLACK)
    rows, columns = size - new_height, size - new_width
    # more of the black goes behind if it cannot be shared out evenly
    return F.pad(resized, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2), value=_BLACK)
