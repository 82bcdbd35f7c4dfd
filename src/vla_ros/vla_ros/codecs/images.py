"""Images out of messages and into them."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image

from vla_core.embodiment.schema import Camera
from vla_core.errors import StreamError
from vla_core.images import decode_image
from vla_ros.time import to_time


def image_of(message: Any, role: str, camera: Camera) -> NDArray[np.uint8]:
    """The image of a camera (H, W, 3) uint8 in the declared encoding, as the message holds it where that is possible.

    Raises:
        ImageError: the message cannot be decoded.
        StreamError: the image has another size than declared.
    """
    image = decode_image(
        message.encoding,
        message.height,
        message.width,
        message.step,
        message.is_bigendian,
        message.data,
        camera.encoding,
    )
    if image.shape != (camera.height, camera.width, 3):
        raise StreamError(
            f"camera '{role}' on {camera.topic}: expected images of {camera.width}x{camera.height}, "
            f"found {message.width}x{message.height}"
        )
    return image


def image_message(image: NDArray[np.uint8], stamp_ns: int, frame_id: str) -> Image:
    """A ``sensor_msgs/Image`` of an RGB image (H, W, 3) uint8."""
    height, width, _ = image.shape
    message = Image(height=height, width=width, encoding="rgb8", step=3 * width)
    message.header.stamp = to_time(stamp_ns)
    message.header.frame_id = frame_id
    message.data = array("B", image.tobytes())  # bytes would be checked element by element
    return message
