"""Images out of messages and into them."""

from __future__ import annotations

import struct
from array import array
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image

from vla_core.embodiment.schema import Camera, DepthCamera
from vla_core.encoded import EncodedImage, encoded_image
from vla_core.errors import StreamError
from vla_core.images import decode_image
from vla_ros.codecs.cdr import START, byte_order
from vla_ros.codecs.serialized import stamp_ns
from vla_ros.time import to_time

AnyCamera = Camera | DepthCamera

_STAMP_BYTES = 8
_COMPRESSED_DEPTH = "compressedDepth"
_CONFIG = struct.Struct("<iff")  # before a depth image's PNG, as image_transport's plugin copies it from memory
_SAME = {"16UC1": ("16UC1", "mono16"), "32FC1": ("32FC1",)}


class ImageFields(NamedTuple):
    """A sensor_msgs/Image without its header; ``data`` are its pixels where they were received."""

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: memoryview


class CompressedFields(NamedTuple):
    """A sensor_msgs/CompressedImage without its header."""

    format: str
    data: memoryview


class CameraCodec:
    """Images of a camera out of its serialized messages, without a copy where the message holds what is declared.

    Args:
        role: of the camera, for errors.
        camera: its declaration.
    """

    def __init__(self, role: str, camera: AnyCamera) -> None:
        self._role = role
        self._camera = camera
        self.message_type: type = Image if camera.message == "image" else CompressedImage

    def stamp_ns(self, data: bytes | memoryview) -> int:
        """The header's stamp [ns]. Raises StreamError."""
        return stamp_ns(data)

    def content(self, data: bytes | memoryview) -> memoryview:
        """All of a message but its stamp: what repeats when a camera is frozen."""
        return memoryview(data)[START + _STAMP_BYTES :]

    def read(self, data: bytes | memoryview) -> NDArray[Any] | EncodedImage:
        """The image as :func:`image_of` or :func:`encoded_of` gives it; it keeps ``data``.

        Raises:
            ImageError: the message cannot be decoded.
            StreamError: the image has another size than declared, or the message is cut off.
        """
        if self._camera.message == "image":
            return image_of(image_fields(data), self._role, self._camera)
        return encoded_of(compressed_fields(data), self._role, self._camera)


def image_fields(data: bytes | memoryview) -> ImageFields:
    """The fields of a serialized sensor_msgs/Image. Raises StreamError."""
    reader = _Reader(data)
    reader.text()
    height, width = reader.number("I"), reader.number("I")
    encoding = reader.text()
    is_bigendian = reader.number("B")
    return ImageFields(height, width, encoding, is_bigendian, reader.number("I"), reader.bytes())


def compressed_fields(data: bytes | memoryview) -> CompressedFields:
    """The fields of a serialized sensor_msgs/CompressedImage. Raises StreamError."""
    reader = _Reader(data)
    reader.text()
    return CompressedFields(reader.text(), reader.bytes())


def image_of(message: Any, role: str, camera: AnyCamera) -> NDArray[Any]:
    """The image of a camera in the declared encoding, as the message holds it where that is possible.

    Args:
        message: a sensor_msgs/Image, or its fields.
        role: of the camera, for errors.
        camera: its declaration.

    Returns:
        (H, W, 3) uint8, or the distances of a depth camera (H, W) uint16 or float32.

    Raises:
        ImageError: the message cannot be decoded.
        StreamError: the image has another size than declared, or distances have another type.
    """
    same = _SAME.get(camera.encoding)
    if same is not None and message.encoding not in same:  # a conversion would not know of what unit they are
        raise _error(role, camera, f"images '{camera.encoding}', found '{message.encoding}'")
    image = decode_image(
        message.encoding,
        message.height,
        message.width,
        message.step,
        message.is_bigendian,
        message.data,
        camera.encoding,
    )
    if image.shape[:2] != (camera.height, camera.width):
        raise _error(role, camera, f"images of {camera.width}x{camera.height}, found {message.width}x{message.height}")
    return image


def encoded_of(message: Any, role: str, camera: AnyCamera) -> EncodedImage:
    """The image of a camera as a sensor_msgs/CompressedImage (or its fields) holds it: not decoded.

    Raises:
        ImageError: it is neither JPEG nor PNG, or ends early.
        StreamError: the image has another size than declared, or its pixels are no distances where these are declared.
    """
    data = memoryview(message.data)
    image = encoded_image(data) if isinstance(camera, Camera) else _encoded_depth(message.format, data, role, camera)
    if (image.height, image.width) != (camera.height, camera.width):
        raise _error(role, camera, f"images of {camera.width}x{camera.height}, found {image.width}x{image.height}")
    return image


def _encoded_depth(kind: str, data: memoryview, role: str, camera: DepthCamera) -> EncodedImage:
    """A depth image as PNG, alone or behind the header of image_transport's plugin ``compressedDepth``."""
    encoding, _, plugin = kind.partition(";")
    if _COMPRESSED_DEPTH not in plugin:
        if camera.encoding == "32FC1":
            raise _error(role, camera, f"floating-point distances as '{_COMPRESSED_DEPTH}', found '{kind}'")
        return replace(encoded_image(data), encoding=camera.encoding)
    if encoding.strip() not in _SAME[camera.encoding] or len(data) < _CONFIG.size:
        raise _error(role, camera, f"images '{camera.encoding}', found {len(data)} bytes of '{kind}'")
    _, a, b = _CONFIG.unpack_from(data)
    inverse = (a, b) if camera.encoding == "32FC1" else None
    return replace(encoded_image(data[_CONFIG.size :]), encoding=camera.encoding, inverse_depth=inverse)


def image_message(image: NDArray[np.uint8], stamp_ns: int, frame_id: str) -> Image:
    """A ``sensor_msgs/Image`` of an RGB image (H, W, 3) uint8."""
    height, width, _ = image.shape
    message = Image(height=height, width=width, encoding="rgb8", step=3 * width)
    message.header.stamp = to_time(stamp_ns)
    message.header.frame_id = frame_id
    message.data = array("B", image.tobytes())  # bytes would be checked element by element
    return message


class _Reader:
    """Reads a serialized message from behind its stamp on, field by field."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = data
        self._order = byte_order(data)
        self._position = START + _STAMP_BYTES

    def number(self, code: str) -> int:
        size = struct.calcsize(code)
        self._position += -(self._position - START) % size
        try:
            (value,) = struct.unpack_from(self._order + code, self._data, self._position)
        except struct.error:
            raise self._cut_off() from None
        self._position += size
        return int(value)

    def text(self) -> str:
        return bytes(self.bytes()).rstrip(b"\x00").decode(errors="replace")

    def bytes(self) -> memoryview:
        """A sequence of bytes, where it is."""
        size = self.number("I")
        begin, self._position = self._position, self._position + size
        if self._position > len(self._data):
            raise self._cut_off()
        return memoryview(self._data)[begin : self._position]

    def _cut_off(self) -> StreamError:
        return StreamError(f"image message: expected a whole one, found {len(self._data)} bytes that are cut off")


def _error(role: str, camera: AnyCamera, what: str) -> StreamError:
    return StreamError(f"camera '{role}' on {camera.topic}: expected {what}")
