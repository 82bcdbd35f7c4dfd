"""Camera images to record: as hard to compress as real ones, and numbered so that JPEG cannot blur the number."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_BITS, _BLOCK = 32, 16  # a black or white square for each bit, along the upper edge
_NOISE = 3.0  # of the sensor, standard deviation


def picture(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """A picture (H, W, 3) uint8 with the spectrum of natural images, amplitudes inverse to spatial frequency, and some noise.

    At 640x480 its JPEG of quality 95 has about 100 kB, as those of real cameras have.
    """
    rng = np.random.default_rng(seed)
    image = np.zeros((height, width, 3), np.float32)
    size = 3
    while size < height:
        octave = rng.normal(0, 1, (size, size * width // height + 1, 3)).astype(np.float32)
        image += 50.0 * 3 / size * size**0.25 * cv2.resize(octave, (width, height), interpolation=cv2.INTER_CUBIC)
        size *= 2
    image += 128 + rng.normal(0, _NOISE, image.shape).astype(np.float32)
    return np.clip(image, 0, 255).astype(np.uint8)


def write_number(image: NDArray[np.uint8], number: int) -> None:
    """Writes a number into the squares of an image."""
    bits = (number >> np.arange(_BITS)) & 1
    image[:_BLOCK, : _BITS * _BLOCK] = np.repeat(bits * 255, _BLOCK)[None, :, None]


def read_number(image: NDArray[np.uint8]) -> int:
    """The number in an image."""
    squares = image[:_BLOCK, : _BITS * _BLOCK, 1].reshape(_BLOCK, _BITS, _BLOCK).mean(axis=(0, 2))
    return int(((squares > 127).astype(np.int64) << np.arange(_BITS)).sum())
