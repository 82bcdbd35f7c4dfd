"""Image messages to arrays, with the results of cv_bridge and without its copies.

A raw image (sensor_msgs/Image) is given by its fields, so this module needs no ROS. What ``imgmsg_to_cv2`` of cv_bridge 3.4
(ROS 2 Jazzy) returns, :func:`decode_image` returns; what it refuses is refused here. One thing differs on purpose: rows begin
every ``step`` bytes, always, where cv_bridge shears an image whose padding is no multiple of the pixel's size.
"""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass
from typing import Any, Union

import cv2
import numpy as np
from numpy.typing import NDArray

from vla_core.errors import ImageError, choice

Bytes = Union[bytes, bytearray, memoryview, "array[int]", NDArray[np.uint8]]
Image = NDArray[Any]

PASSTHROUGH = "passthrough"


@dataclass(frozen=True)
class Encoding:
    """How pixels are stored: element type, channels per pixel, and what they mean.

    ``colors`` is a word of OpenCV's conversion codes (``RGB``, ``BayerRGGB``, ``UYVY``...), or empty where the encoding does not
    say what it shows, as a depth image's ``16UC1`` does not.
    """

    dtype: np.dtype[Any]
    channels: int
    colors: str = ""


# As in sensor_msgs/image_encodings.hpp. cv_bridge knows the two YUV 4:2:2 formats only by these older names.
_NAMED = {
    **{f"{order.lower()}{bits}": (bits, len(order), order) for order in ("RGB", "BGR", "RGBA", "BGRA") for bits in (8, 16)},
    **{f"mono{bits}": (bits, 1, "GRAY") for bits in (8, 16)},
    **{f"bayer_{p.lower()}{bits}": (bits, 1, f"Bayer{p}") for p in ("RGGB", "BGGR", "GBRG", "GRBG") for bits in (8, 16)},
    "yuv422": (8, 2, "UYVY"),
    "yuv422_yuy2": (8, 2, "YUY2"),
}
_ENCODINGS = {name: Encoding(np.dtype(f"uint{bits}"), count, colors) for name, (bits, count, colors) in _NAMED.items()}
_PLAIN = re.compile(r"(8U|8S|16U|16S|32S|32F|64F)C([1-9][0-9]{0,2})")
_KINDS = {"U": "uint", "S": "int", "F": "float"}
_TARGETS = ("rgb8", "bgr8", "rgba8", "bgra8", "mono8", "mono16", "16UC1", "32FC1", PASSTHROUGH)


def decode_image(
    encoding: str,
    height: int,
    width: int,
    step: int,
    is_bigendian: bool | int,
    data: Bytes,
    desired: str = "rgb8",
) -> Image:
    """Turns the fields of a sensor_msgs/Image into an array in native byte order.

    The result is a view on ``data``, read-only if those are, where nothing needs to be converted: ``desired`` is the message's
    own encoding or ``passthrough``, and its byte order is the machine's. Rows of a view are ``step`` bytes apart. All other
    results are new and contiguous.

    Args:
        encoding: of the message.
        height: [pixels].
        width: [pixels].
        step: bytes from one row to the next.
        is_bigendian: byte order of elements of more than one byte.
        data: at least ``height * step`` bytes.
        desired: ``rgb8``, ``bgr8``, ``rgba8``, ``bgra8``, ``mono8``, ``mono16``; or, for what has no colour such as depth,
            ``16UC1``, ``32FC1`` or ``passthrough`` (whatever the message has).

    Returns:
        (H, W, channels), or (H, W) for one channel. As with cv_bridge, ``W`` is less than ``width`` if ``step`` is too small.

    Raises:
        ImageError: an unknown encoding, a conversion that does not make sense, too few bytes, or no pixels to convert.
    """
    if desired not in _TARGETS:
        raise ImageError(f"image '{encoding}': desired encoding: expected {choice(_TARGETS)}, found '{desired}'")
    source = _encoding(encoding)
    image = _rows(source, encoding, height, width, step, bool(is_bigendian), data)
    if desired == PASSTHROUGH:
        return image
    if image.size == 0:
        raise ImageError(f"image '{encoding}': expected pixels, found {height} x {width} (height x width), step {step}")
    return image if desired == encoding else _convert(image, source, encoding, desired)


def _encoding(name: str) -> Encoding:
    known = _ENCODINGS.get(name)
    if known is not None:
        return known
    plain = _PLAIN.fullmatch(name)
    if plain is None:
        expected = f"{', '.join(_ENCODINGS)}, or a plain type such as 8UC3, 16UC1 or 32FC1"
        raise ImageError(f"image: unknown encoding '{name}'; expected {expected}")
    kind, channels = plain.groups()
    return Encoding(np.dtype(f"{_KINDS[kind[-1]]}{kind[:-1]}"), int(channels))


def _rows(
    source: Encoding, encoding: str, height: int, width: int, step: int, is_bigendian: bool, data: Bytes
) -> Image:
    buffer = np.frombuffer(data, dtype=np.uint8)
    if buffer.size < height * step:
        raise ImageError(
            f"image '{encoding}' of {height} x {width} (height x width), step {step}: expected {height * step} bytes, "
            f"found {buffer.size}"
        )
    dtype = source.dtype.newbyteorder(">" if is_bigendian else "<")
    pixel = dtype.itemsize * source.channels
    columns = min(width, step // pixel)
    image: Image = np.ndarray((height, columns, source.channels), dtype, buffer, 0, (step, pixel, dtype.itemsize))
    if source.channels == 1:
        image = image[:, :, 0]
    return image.astype(source.dtype, copy=False)


def _convert(image: Image, source: Encoding, encoding: str, desired: str) -> Image:
    target = _encoding(desired)
    if not target.colors:
        if target.channels != source.channels:
            raise ImageError(
                f"image '{encoding}' has {source.channels} channels; expected {target.channels} to make '{desired}' of it"
            )
        return _retyped(image, target.dtype)
    if not source.colors:
        raise ImageError(f"image '{encoding}' does not say what colours it has; expected '{PASSTHROUGH}' or a plain type, "
                         f"found the desired encoding '{desired}'")
    if source.colors != target.colors:
        image = cv2.cvtColor(image, _conversion_code(source, target, encoding, desired))
    return _scaled(image, target.dtype)


def _conversion_code(source: Encoding, target: Encoding, encoding: str, desired: str) -> int:
    if source.colors.startswith("Bayer") and target.channels == 4:
        raise ImageError(f"image '{encoding}': expected 'rgb8', 'bgr8', 'mono8' or 'mono16' to be made of it, found '{desired}'")
    if source.colors in ("UYVY", "YUY2"):
        return int(getattr(cv2, f"COLOR_YUV2{target.colors}_{source.colors}"))
    return int(getattr(cv2, f"COLOR_{source.colors}2{target.colors}"))


def _scaled(image: Image, dtype: np.dtype[Any]) -> Image:
    """Brings colours to another depth, the largest value to the largest value."""
    if image.dtype == dtype:
        return image
    if dtype == np.uint8:
        return cv2.convertScaleAbs(image, alpha=255.0 / 65535.0)
    return image * np.uint16(257)


def _retyped(image: Image, dtype: np.dtype[Any]) -> Image:
    """Brings plain numbers to another type, unscaled; what an integer type cannot hold becomes its nearest, as in OpenCV."""
    if dtype.kind == "f" or image.dtype == dtype:
        return image.astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(image), limits.min, limits.max).astype(dtype)
