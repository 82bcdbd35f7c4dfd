"""Random changes of what the network sees, so that it relies on what matters."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vla_policies.batch import NetworkInputs
from vla_policies.training.config import Augmentation


def shift_images(images: NDArray[np.uint8], largest_px: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Moves each of (B, H, W, 3) images by up to ``largest_px`` in both directions, repeating its edge.

    Source: Kostrikov et al., "Image Augmentation Is All You Need" (arXiv 2004.13649), section 3.1.
    """
    if largest_px == 0:
        return images
    border = [(0, 0), (largest_px, largest_px), (largest_px, largest_px), (0, 0)]
    padded = np.pad(images, border, mode="edge")
    height, width = images.shape[1:3]
    shifted = np.empty_like(images)
    for index, (down, right) in enumerate(rng.integers(0, 2 * largest_px + 1, size=(len(images), 2))):
        shifted[index] = padded[index, down : down + height, right : right + width]
    return shifted


def augment(inputs: NetworkInputs, augmentation: Augmentation, rng: np.random.Generator) -> NetworkInputs:
    """Changes brightness and contrast of every image, and adds noise to the state."""
    images = tuple(_change_light(image, augmentation, rng) for image in inputs.images)
    state = inputs.state
    if augmentation.state_noise:
        state = state + augmentation.state_noise * _tensor(rng.standard_normal(state.shape), state)
    return NetworkInputs(images, state, inputs.prompts)


def _change_light(images: Tensor, augmentation: Augmentation, rng: np.random.Generator) -> Tensor:
    """``contrast * image + brightness`` on normalised images, whose standard deviation of about 1/4 of white is 1."""
    if not augmentation.brightness and not augmentation.contrast:
        return images
    size = (len(images), 1, 1, 1)
    factor = 1.0 + augmentation.contrast * rng.uniform(-1.0, 1.0, size)
    offset = 4.0 * augmentation.brightness * rng.uniform(-1.0, 1.0, size)
    return images * _tensor(factor, images) + _tensor(offset, images)


def _tensor(values: NDArray[np.float64], like: Tensor) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(like)
