"""A camera that repeats an image is told from one that shows a scene in which nothing moves."""

from __future__ import annotations

import numpy as np
import pytest

from vla_core.alignment import FrozenWatch
from vla_core.errors import StreamError

MS = 1_000_000
PERIOD = 33 * MS
RANDOM = np.random.default_rng(0)


def image(noise: int = -1) -> bytes:
    """A scene in which nothing moves; ``noise`` is where one pixel differs."""
    pixels = np.full(20_000, 128, np.uint8)
    pixels[noise] += noise >= 0
    return pixels.tobytes()


def test_an_image_that_repeats_with_new_stamps_for_too_long_is_refused() -> None:
    watch = FrozenWatch("wrist", "/wrist", 200.0)
    for k in range(7):  # 198 ms
        watch.require_new(k * PERIOD, image())
    with pytest.raises(StreamError, match="camera 'wrist' on /wrist: the same image for 231 ms with new stamps"):
        watch.require_new(7 * PERIOD, image())
    with pytest.raises(StreamError, match="264 ms"):
        watch.require_new(8 * PERIOD, memoryview(image()))
    watch.require_new(9 * PERIOD, image(noise=19_999))  # well again
    watch.require_new(10 * PERIOD, image())


@pytest.mark.parametrize("place", [0, 5_000, 19_999])
def test_the_noise_of_one_pixel_is_life(place: int) -> None:
    watch = FrozenWatch("wrist", "/wrist", 100.0)
    for k in range(100):
        watch.require_new(k * PERIOD, image(noise=place if k % 2 else -1))


def test_an_image_that_comes_twice_is_no_camera_that_froze() -> None:
    watch = FrozenWatch("wrist", "/wrist", 100.0)
    for k in range(100):
        for _ in range(2):
            watch.require_new(k * PERIOD, RANDOM.bytes(100) if k % 3 == 0 else image(k % 1000))
    for _ in range(100):
        watch.require_new(100 * PERIOD, image())  # the same stamp: a duplicate


def test_a_clock_that_is_set_back_begins_anew() -> None:
    watch = FrozenWatch("wrist", "/wrist", 100.0)
    watch.require_new(100 * PERIOD, image())
    watch.require_new(10 * PERIOD, image())
    with pytest.raises(StreamError, match="the same image for 132 ms"):
        watch.require_new(14 * PERIOD, image())


def test_rendered_images_may_repeat_for_ever() -> None:
    watch = FrozenWatch("wrist", "/wrist", 0.0)
    for k in range(1000):
        watch.require_new(k * PERIOD, image())
