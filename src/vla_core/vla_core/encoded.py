"""JPEG and PNG images as bytes: as a compressed topic sends them and an episode keeps them; decoded where pixels are needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from vla_core.errors import ImageError
from vla_core.images import decode_compressed_image

_JPEG_START, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
_TRAILING = 64  # bytes after a JPEG's end that a camera may have filled up to a round number

# Frame headers; C4, C8 and CC are other things. Markers of these numbers have no length behind them: TEM, RSTn, SOI
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
_JPEG_SCAN = 0xDA


@dataclass(frozen=True, eq=False)
class EncodedImage:
    """An image as a JPEG or PNG file in memory.

    Attributes:
        data: the file's bytes.
        format: what they are.
        height: [pixels].
        width: [pixels].
        encoding: what it is when it is decoded: ``rgb8``, or a depth image's ``16UC1`` or ``32FC1``.
        inverse_depth: (a, b) where the file's 16-bit pixels p stand for the depths a / (p - b); for ``32FC1`` only.
    """

    data: bytes | memoryview
    format: Literal["jpeg", "png"]
    height: int
    width: int
    encoding: Literal["rgb8", "16UC1", "32FC1"] = "rgb8"
    inverse_depth: tuple[float, float] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the decoded image."""
        return (self.height, self.width, 3) if self.encoding == "rgb8" else (self.height, self.width)

    def decode(self) -> NDArray[Any]:
        """The image: (H, W, 3) uint8 in RGB order, or depths (H, W) uint16 or float32.

        Raises:
            ImageError: the data cannot be decoded, or hold another size or type than they said.
        """
        stored = "16UC1" if self.inverse_depth else self.encoding
        image = decode_compressed_image(self.data, stored)
        if image.shape != self.shape:
            raise ImageError(f"{self.format} image: expected {self.shape}, found {image.shape} after decoding")
        return image if self.inverse_depth is None else _depth(image, *self.inverse_depth)


def encoded_image(data: bytes | memoryview) -> EncodedImage:
    """Reads what a JPEG or PNG file in memory says about itself, and that its end is there. No pixel is decoded.

    Raises:
        ImageError: neither JPEG nor PNG, or data that end early.
    """
    start = bytes(data[:8])
    if start.startswith(_JPEG_START):
        height, width = _jpeg_size(data)
        if _JPEG_END not in bytes(data[-_TRAILING:]):
            raise ImageError(f"jpeg image: expected the marker of its end, found {len(data)} bytes that are cut off")
        return EncodedImage(data, "jpeg", height, width)
    if start == _PNG_START and len(data) >= 24:
        if bytes(data[-len(_PNG_END) :]) != _PNG_END:
            raise ImageError(f"png image: expected the chunk of its end, found {len(data)} bytes that are cut off")
        return EncodedImage(data, "png", *_png_size(data))
    found = start.hex(" ") or "nothing"
    raise ImageError(f"compressed image: expected JPEG or PNG data, found {len(data)} bytes that begin with {found}")


def encode_jpeg(image: NDArray[np.uint8], quality: int) -> bytes:
    """An RGB image (H, W, 3) uint8 as a JPEG file of quality 1 to 100, colours at half the resolution (4:2:0).

    Raises:
        ImageError: an image of another shape or type.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ImageError(f"jpeg: expected an image (H, W, 3) uint8, found {image.shape} {image.dtype}")
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, quality))
    return data.tobytes()


def pixels_of(value: NDArray[Any] | EncodedImage) -> NDArray[Any]:
    """An image's pixels, decoded if it came encoded. Raises ImageError."""
    return value.decode() if isinstance(value, EncodedImage) else value


def jpeg_of(value: NDArray[Any] | EncodedImage, quality: int) -> bytes | memoryview:
    """A colour image as a JPEG file: as it came if it came as one, else encoded with this quality. Raises ImageError."""
    if isinstance(value, EncodedImage) and value.format == "jpeg":
        return value.data
    return encode_jpeg(pixels_of(value), quality)


def _depth(pixels: NDArray[np.uint16], a: float, b: float) -> NDArray[np.float32]:
    """Depths of pixels that are proportional to their inverse; 0 stands for a pixel without a measurement: NaN."""
    with np.errstate(divide="ignore"):
        return np.where(pixels == 0, np.nan, a / (pixels - b)).astype(np.float32)


def _jpeg_size(data: bytes | memoryview) -> tuple[int, int]:
    """Height and width, from the frame header among a JPEG's segments."""
    position = 2
    while position + 9 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1  # any number of these may precede a marker
        elif marker in _JPEG_BARE:
            position += 2
        elif marker in _JPEG_FRAMES:
            height, width = data[position + 5 : position + 7], data[position + 7 : position + 9]
            return int.from_bytes(height, "big"), int.from_bytes(width, "big")
        elif marker == _JPEG_SCAN:
            break
        else:
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    raise ImageError(f"jpeg image: expected a frame header, found none in {len(data)} bytes")


def _png_size(data: bytes | memoryview) -> tuple[int, int]:
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    return height, width
