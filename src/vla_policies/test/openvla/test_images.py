"""Images become what the towers saw in training."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image

from vla_policies.openvla import OpenVlaConfig
from vla_policies.openvla.images import crop_centre, resize
from vla_policies.openvla.vision import for_both_towers

LEVEL = 1.0 / 255.0


@pytest.fixture
def image() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 40, 60))).float() * LEVEL


@pytest.mark.parametrize("size", [28, 56])
@pytest.mark.parametrize(("kernel", "filter_"), [("lanczos3", Image.LANCZOS), ("bicubic", Image.BICUBIC)])
def test_images_are_resampled_as_pillow_does(kernel, filter_, size, image) -> None:
    """Smaller and larger. Pillow's images of floating-point numbers are not rounded."""
    found = resize(image, size, kernel)
    for index in np.ndindex(2, 3):
        exact = np.asarray(Image.fromarray(image[index].numpy()).resize((size, size), filter_))
        np.testing.assert_allclose(found[index], (exact * 255).round().clip(0, 255) * LEVEL, atol=1.01 * LEVEL)
        np.testing.assert_allclose(found[index], exact.clip(0, 1), atol=0.501 * LEVEL)


def test_an_image_of_the_right_size_is_left_alone(image) -> None:
    square = image[..., :40]
    assert resize(square, 40, "lanczos3") is square


def test_the_middle_is_enlarged_between_the_corners_of_the_crop(image) -> None:
    square = image[..., :40]
    cropped = crop_centre(square)
    side = math.sqrt(0.9)
    start, step = (1 - side) / 2 * 39, side
    for row, column in ((0, 0), (7, 31), (39, 20), (39, 39)):
        y, x = start + row * step, start + column * step
        top, left, down, right = int(y), int(x), y - int(y), x - int(x)
        four = square[..., top : top + 2, left : left + 2]
        exact = (1 - down) * ((1 - right) * four[..., 0, 0] + right * four[..., 0, 1])
        exact = exact + down * ((1 - right) * four[..., 1, 0] + right * four[..., 1, 1])
        assert (cropped[..., row, column] - exact).abs().max() < 1.01 * LEVEL
    assert torch.allclose(cropped * 255, (cropped * 255).round(), atol=1e-3)


def test_both_towers_get_their_own_normalisation(image) -> None:
    mean, std = (torch.tensor(values)[:, None, None] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    for crop in (False, True):
        pixels = resize(image, 28, "bicubic")
        pixels = crop_centre(pixels) if crop else pixels
        config = OpenVlaConfig(image_size=28, image_resize="bicubic", centre_crop=crop)
        both = for_both_towers((image - mean) / std, config)
        # what lies between two levels may be rounded to either
        expected = torch.cat([(pixels - mean) / std, (pixels - 0.5) / 0.5], dim=1)
        assert (both - expected).abs().max() < 6 * LEVEL
        assert ((both - expected).abs() < 1e-4).float().mean() > 0.99
