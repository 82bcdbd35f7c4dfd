"""Images of a robot to those that a network sees, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vla_policies.normalisation import Normalisation
from vla_policies.transforms.resampling import resample

if TYPE_CHECKING:
    from vla_policies.spec import ImageSize

_WHITE = 255.0


def resize_image(image: NDArray[np.uint8], size: ImageSize) -> NDArray[np.uint8]:
    """An image (H, W, 3) uint8 at another size, resampled so that shrinking does not alias; or itself."""
    if image.shape[:2] == (size.height, size.width):
        return image
    if size.fit == "stretch":
        return _resampled(image, size.height, size.width, size.resize)
    ratio = max(image.shape[1] / size.width, image.shape[0] / size.height)
    height, width = (max(1, int(length / ratio)) for length in image.shape[:2])
    padded = np.zeros((size.height, size.width, 3), np.uint8)
    top, left = (size.height - height) // 2, (size.width - width) // 2
    padded[top : top + height, left : left + width] = _resampled(image, height, width, size.resize)
    return padded


def _resampled(image: NDArray[np.uint8], height: int, width: int, method: str) -> NDArray[np.uint8]:
    if method == "area":
        return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    planes = torch.from_numpy(image).permute(2, 0, 1).float()
    resized = resample(planes, height, width, method).round().clamp(0.0, _WHITE)
    return resized.permute(1, 2, 0).to(torch.uint8).numpy()


def images_to_tensor(images: NDArray[np.uint8], normalisation: Normalisation, device: torch.device) -> Tensor:
    """Images (B, H, W, 3) uint8 RGB to normalised (B, 3, H, W) float32, in memory still channels last, which is faster."""
    scale, shift = _channel_scale_and_shift(normalisation, device)
    tensor = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float()
    return tensor.mul_(scale).sub_(shift)


def tensor_to_images(tensor: Tensor, normalisation: Normalisation) -> NDArray[np.uint8]:
    """Undoes :func:`images_to_tensor`; what lies outside of 0 to 255 is cut off."""
    scale, shift = _channel_scale_and_shift(normalisation, tensor.device)
    pixels = ((tensor + shift) / scale).round().clamp(0.0, _WHITE)
    return pixels.permute(0, 2, 3, 1).to(torch.uint8).cpu().numpy()


def _channel_scale_and_shift(normalisation: Normalisation, device: torch.device) -> tuple[Tensor, Tensor]:
    """The normalisation of x / 255 as one multiplication and one subtraction, each (3, 1, 1)."""
    black = normalisation.forward(np.zeros(3))
    scale = (normalisation.forward(np.ones(3)) - black) / _WHITE
    return _per_channel(scale, device), _per_channel(-black, device)


def _per_channel(values: NDArray[np.float64], device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device)[:, None, None]
