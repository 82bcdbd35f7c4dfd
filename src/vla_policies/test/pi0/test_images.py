"""Images at the vision tower's size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from vla_policies.pi0.images import resize_with_pad


@pytest.mark.parametrize("shape", [(48, 64), (64, 48), (100, 37), (10, 12), (24, 24)])
def test_the_whole_image_lies_in_the_middle_as_pillow_resizes_it(shape) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    resized = resize_with_pad(torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255.0 * 2.0 - 1.0, 24)
    ratio = max(shape) / 24
    height, width = (int(side / ratio) for side in shape)
    expected = np.zeros((24, 24, 3))
    top, left = (24 - height) // 2, (24 - width) // 2
    picture = Image.fromarray(pixels).resize((width, height), resample=Image.Resampling.BILINEAR)
    expected[top : top + height, left : left + width] = picture
    found = ((resized[0].permute(1, 2, 0) + 1.0) * 127.5).numpy()
    assert np.abs(found - expected).max() < 1.01  # Pillow rounds, and in between, too


def test_an_image_of_the_right_size_is_left_alone() -> None:
    image = torch.rand(1, 3, 24, 24) * 4.0 - 2.0
    assert resize_with_pad(image, 24) is image


def test_without_averaging_fine_stripes_alias() -> None:
    stripes = torch.tensor([-1.0, 1.0, 1.0, -1.0]).repeat(24).expand(1, 3, 96, 96)
    smooth, coarse = (resize_with_pad(stripes, 24, antialias=antialias) for antialias in (True, False))
    assert smooth.abs().max() < 0.3
    assert coarse.abs().min() > 0.9
