"""Images become the size that a network wants, with the arithmetic of the reference."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from vla_policies.spec import ImageSize
from vla_policies.transforms import resize_image

FILTERS = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC, "lanczos3": Image.LANCZOS}


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)


def as_pillow(image: np.ndarray, width: int, height: int, method: str) -> np.ndarray:
    """Channel by channel in floating point, which Pillow does not round in between, as TensorFlow and JAX do not."""
    planes = [
        np.asarray(Image.fromarray(image[..., channel].astype(np.float32)).resize((width, height), FILTERS[method]))
        for channel in range(3)
    ]
    return np.stack(planes, axis=-1).clip(0, 255)


@pytest.mark.parametrize("method", FILTERS)
@pytest.mark.parametrize(("width", "height"), [(45, 20), (32, 32), (120, 80), (17, 90)])
def test_kernels_are_pillows(method, width, height, image) -> None:
    found = resize_image(image, ImageSize(width, height, method))
    assert (found.shape, found.dtype) == ((height, width, 3), np.uint8)
    assert np.abs(found - as_pillow(image, width, height, method)).max() < 0.501


def test_areas_are_averaged(image) -> None:
    found = resize_image(image, ImageSize(30, 20))
    exact = image.reshape(20, 3, 30, 3, 3).mean(axis=(1, 3))
    assert np.abs(found - exact).max() <= 0.51


@pytest.mark.parametrize("method", ["area", "bilinear", "lanczos3"])
def test_a_padded_image_keeps_its_proportions(method, image) -> None:
    found = resize_image(image, ImageSize(48, 48, method, fit="pad"))
    assert (found[:8] == 0).all()
    assert (found[40:] == 0).all()
    assert (found[8:40] == resize_image(image, ImageSize(48, 32, method))).all()
    tall = resize_image(image, ImageSize(90, 100, method, fit="pad"))
    assert (tall[20:80] == image).all()
    assert (np.delete(tall, range(20, 80), axis=0) == 0).all()
