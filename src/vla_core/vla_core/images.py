"""Image messages to arrays, with the results of cv_bridge and without its copies.

A raw image (sensor_msgs/Image) is given by its fields, so this module needs no ROS. What ``imgmsg_to_cv2`` of cv_bridge 3.4
(ROS 2 Jazzy) returns, :func:`decode_image` returns; what it refuses is refused here. One thing differs on purpose: rows begin
every ``step`` bytes, always, where cv_bridge shears an image whose padding is no multiple of the pixel's size.
"""

from __future__ import annotations

import re
import sys
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
    **{
        f"{order.lower()}{bits}": (bits, len(order), order)
        for order in ("RGB", "BGR", "RGBA", "BGRA")
        for bits in (8, 16)
    },
    **{f"mono{bits}": (bits, 1, "GRAY") for bits in (8, 16)},
    **{
        f"bayer_{p.lower()}{bits}": (bits, 1, f"Bayer{p}") for p in ("RGGB", "BGGR", "GBRG", "GRBG") for bits in (8, 16)
    },
    "yuv422": (8, 2, "UYVY"),
    "yuv422_yuy2": (8, 2, "YUY2"),
}
_ENCODINGS = {name: Encoding(np.dtype(f"uint{bits}"), count, colors) for name, (bits, count, colors) in _NAMED.items()}
_PAIRED = ("UYVY", "YUY2")
_PLAIN = re.compile(r"(8U|8S|16U|16S|32S|32F|64F)C([1-9][0-9]{0,2})")
_KINDS = {"U": "uint", "S": "int", "F": "float"}
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
_COMPRESSED = {1: "mono", 3: "bgr", 4: "bgra"}  # OpenCV's order of colours
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
    own encoding or ``passthrough``, its byte order is the machine's, and ``step`` is a multiple of the element's size. Rows of a
    view are ``step`` bytes apart. All other results are new and contiguous.

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
    # OpenCV misreads elements that do not lie on a multiple of their size, as odd padding makes them
    return np.require(image.astype(source.dtype, copy=False), requirements="A")


def _convert(image: Image, source: Encoding, encoding: str, desired: str) -> Image:
    target = _encoding(desired)
    if not target.colors:
        return _plain(image, target, encoding, desired)
    if not source.colors:
        raise ImageError(
            f"image '{encoding}' does not say what colours it has; expected '{PASSTHROUGH}' or a plain type, "
            f"found the desired encoding '{desired}'"
        )
    if source.colors != target.colors:
        code = _conversion_code(source, target, encoding, desired)
        width = image.shape[1]
        image = cv2.cvtColor(_whole_pairs(image) if source.colors in _PAIRED else image, code)[:, :width]
    return np.ascontiguousarray(_scaled(image, target.dtype))


def _conversion_code(source: Encoding, target: Encoding, encoding: str, desired: str) -> int:
    if source.colors.startswith("Bayer") and target.channels == 4:
        raise ImageError(
            f"image '{encoding}': expected 'rgb8', 'bgr8', 'mono8' or 'mono16' to be made of it, found '{desired}'"
        )
    if source.colors in _PAIRED:
        return int(getattr(cv2, f"COLOR_YUV2{target.colors}_{source.colors}"))
    return int(getattr(cv2, f"COLOR_{source.colors}2{target.colors}"))


def _whole_pairs(image: Image) -> Image:
    """Gives YUV 4:2:2 pixels, two of which share their colour, an even width.

    The partner of the last pixel of an odd row is what follows in memory: the next row's first pixel. That is what OpenCV 4.6
    reads under cv_bridge; OpenCV 5 refuses odd rows.
    """
    if image.shape[1] % 2 == 0:
        return image
    following = np.concatenate([image[1:, :1], np.zeros_like(image[:1, :1])])
    return np.concatenate([image, following], axis=1)


def _scaled(image: Image, dtype: np.dtype[Any]) -> Image:
    """Brings colours to another depth, the largest value to the largest value."""
    if image.dtype == dtype:
        return image
    if dtype == np.uint8:
        return np.asarray(cv2.convertScaleAbs(image, alpha=255.0 / 65535.0))
    return np.asarray(image * np.uint16(257))


def _plain(image: Image, target: Encoding, encoding: str, desired: str) -> Image:
    """Brings one channel of plain numbers to the target's type, unscaled. Only floating point holds whatever comes."""
    if image.ndim != 2 or (target.dtype.kind != "f" and image.dtype != target.dtype):
        raise ImageError(f"image '{encoding}': expected one channel of numbers that fit '{desired}'")
    return image.astype(target.dtype)


def decode_compressed_image(data: Bytes, desired: str = "rgb8") -> Image:
    """Turns the data of a sensor_msgs/CompressedImage (JPEG or PNG) into an array of its own.

    The message's format string is not needed: the data say what they are. An orientation among a JPEG's metadata is not applied.

    Args:
        data: of the message.
        desired: as for :func:`decode_image`. An image of one channel counts as mono8 or mono16, and as 16UC1 if that is desired.

    Returns:
        (H, W, channels), or (H, W) for one channel.

    Raises:
        ImageError: neither JPEG nor PNG, data that end early or cannot be decoded, or a conversion that is refused.
    """
    buffer = np.frombuffer(data, dtype=np.uint8)
    if not buffer[:8].tobytes().startswith(_MAGIC):
        found = buffer[:8].tobytes().hex(" ") if buffer.size else "nothing"
        raise ImageError(
            f"compressed image: expected JPEG or PNG data, found {buffer.size} bytes that begin with {found}"
        )
    image = cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ImageError(
            f"compressed image: expected a whole JPEG or PNG, found {buffer.size} bytes that are broken or cut off"
        )
    height, width, channels = np.atleast_3d(image).shape
    encoding = f"{_COMPRESSED[channels]}{8 * image.itemsize}"
    if encoding == "mono16" and desired == "16UC1":
        encoding = desired
    flat = image.reshape(-1).view(np.uint8)
    return decode_image(encoding, height, width, image.strides[0], sys.byteorder == "big", flat, desired)
