"""Images out of serialized messages: the pixels of typed ones, without a copy; compressed ones and distances; broken ones."""

from __future__ import annotations

import struct
from array import array

import cv2
import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="needs rclpy and the built interfaces")

from rclpy.serialization import serialize_message  # noqa: E402
from rosbags.typesys import Stores, get_typestore  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402

from vla_core.embodiment.schema import Align, Camera, DepthCamera  # noqa: E402
from vla_core.encoded import EncodedImage, encode_jpeg, pixels_of  # noqa: E402
from vla_core.errors import ImageError, StreamError  # noqa: E402
from vla_ros.codecs.images import CameraCodec, image_message, image_of  # noqa: E402

pytestmark = pytest.mark.ros
ALIGN = Align("nearest", 20.0)
HEIGHT, WIDTH = 6, 10
STAMP_NS = 1_700_000_000_123_456_789
SIZES = {"8": 1, "16": 2, "32": 4}


def camera(message: str = "image") -> Camera:
    return Camera("/image", WIDTH, HEIGHT, 30.0, ALIGN, message=message)


def depth(encoding: str, message: str = "image") -> DepthCamera:
    return DepthCamera("/depth", WIDTH, HEIGHT, 30.0, ALIGN, encoding, "mm", message)


def pixels(rng: np.random.Generator, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def random_image(rng: np.random.Generator, encoding: str, pixel_bytes: int, padding: int) -> Image:
    message = Image(height=HEIGHT, width=WIDTH, encoding=encoding, step=WIDTH * pixel_bytes + padding)
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(STAMP_NS, 10**9)
    message.header.frame_id = "x" * int(rng.integers(0, 7))
    message.data = array("B", rng.bytes(HEIGHT * message.step))
    return message


def big_endian(message: Image) -> bytes:
    """A message from a machine of the other byte order; only its pixels say their order themselves."""
    store = get_typestore(Stores.ROS2_JAZZY)
    types = store.types
    header = types["std_msgs/msg/Header"](
        types["builtin_interfaces/msg/Time"](message.header.stamp.sec, message.header.stamp.nanosec),
        message.header.frame_id,
    )
    fields = (message.height, message.width, message.encoding, message.is_bigendian, message.step)
    image = types["sensor_msgs/msg/Image"](header, *fields, np.frombuffer(message.data, np.uint8))
    return bytes(store.serialize_cdr(image, "sensor_msgs/msg/Image", little_endian=False))


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "rgba8", "bgra8", "mono8", "rgb16", "yuv422_yuy2", "bayer_rggb8"])
@pytest.mark.parametrize("seed", range(4))
def test_a_serialized_image_is_the_typed_one(encoding: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pixel_bytes = {"rgba8": 4, "bgra8": 4, "mono8": 1, "rgb16": 6, "yuv422_yuy2": 2, "bayer_rggb8": 1}.get(encoding, 3)
    message = random_image(rng, encoding, pixel_bytes, padding=2 * int(rng.integers(0, 4)))
    expected = image_of(message, "scene", camera())
    codec = CameraCodec("scene", camera())
    assert codec.message_type is Image
    for data in (serialize_message(message), big_endian(message)):
        assert codec.stamp_ns(data) == STAMP_NS
        found = codec.read(data)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, expected)
        assert np.shares_memory(found, np.frombuffer(data, np.uint8)) == (encoding == "rgb8")


@pytest.mark.parametrize(("encoding", "dtype"), [("16UC1", np.uint16), ("32FC1", np.float32), ("mono16", np.uint16)])
def test_distances_keep_their_type(encoding: str, dtype: type) -> None:
    distances = np.random.default_rng(0).uniform(0, 5000, (HEIGHT, WIDTH)).astype(dtype)
    message = random_image(np.random.default_rng(1), encoding, distances.itemsize, 0)
    source = depth("16UC1" if encoding == "mono16" else encoding)
    for order in "<>":
        message.is_bigendian = int(order == ">")
        message.data = array("B", distances.astype(distances.dtype.newbyteorder(order)).tobytes())
        found = CameraCodec("depth", source).read(serialize_message(message))
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, distances)


@pytest.mark.parametrize(("sent", "declared"), [("16UC1", "32FC1"), ("32FC1", "16UC1"), ("rgb8", "16UC1")])
def test_distances_of_another_type_are_refused(sent: str, declared: str) -> None:
    message = random_image(np.random.default_rng(1), sent, {"16UC1": 2, "32FC1": 4, "rgb8": 3}[sent], 0)
    with pytest.raises(StreamError, match=f"camera 'depth' on /depth: expected images '{declared}', found '{sent}'"):
        CameraCodec("depth", depth(declared)).read(serialize_message(message))


def test_an_image_of_another_size_is_refused() -> None:
    data = serialize_message(image_message(pixels(np.random.default_rng(0), 4, 8), STAMP_NS, "cam"))
    with pytest.raises(StreamError, match="camera 'scene' on /image: expected images of 10x6, found 8x4"):
        CameraCodec("scene", camera()).read(data)


def test_every_cut_of_an_image_is_found() -> None:
    data = serialize_message(image_message(pixels(np.random.default_rng(0)), STAMP_NS, "cam"))
    end = data.rindex(pixels(np.random.default_rng(0)).tobytes()[-20:]) + 20
    codec = CameraCodec("scene", camera())
    assert codec.read(data[:end]).shape == (HEIGHT, WIDTH, 3)
    for length in range(end):
        with pytest.raises(StreamError, match=r"cut off|CDR"):
            codec.read(data[:length])


def compressed(data: bytes, kind: str = "rgb8; jpeg compressed bgr8") -> bytes:
    message = CompressedImage(format=kind)
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(STAMP_NS, 10**9)
    message.data = array("B", data)
    return serialize_message(message)


def test_a_jpeg_keeps_its_bytes_until_somebody_wants_pixels() -> None:
    image = cv2.resize(pixels(np.random.default_rng(0), 2, 2), (WIDTH, HEIGHT))
    jpeg = encode_jpeg(image, 95)
    codec = CameraCodec("scene", camera("compressed"))
    assert codec.message_type is CompressedImage
    data = compressed(jpeg)
    assert codec.stamp_ns(data) == STAMP_NS
    found = codec.read(data)
    assert isinstance(found, EncodedImage)
    assert (found.format, found.shape, bytes(found.data)) == ("jpeg", (HEIGHT, WIDTH, 3), jpeg)
    assert np.shares_memory(np.frombuffer(found.data, np.uint8), np.frombuffer(data, np.uint8))
    assert np.abs(pixels_of(found).astype(int) - image).mean() < 10


def test_a_png_gives_the_pixels_that_went_in() -> None:
    image = pixels(np.random.default_rng(0))
    png = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()
    found = CameraCodec("scene", camera("compressed")).read(compressed(png, "rgb8; png compressed bgr8"))
    np.testing.assert_array_equal(pixels_of(found), image)


@pytest.mark.parametrize(
    ("data", "expected", "error"),
    [
        (b"GIF89a" + bytes(40), "expected JPEG or PNG data", ImageError),
        (encode_jpeg(np.zeros((HEIGHT, WIDTH, 3), np.uint8), 95)[:-9], "cut off", ImageError),
        (encode_jpeg(np.zeros((8, 8, 3), np.uint8), 95), "expected images of 10x6, found 8x8", StreamError),
    ],
)
def test_compressed_data_that_are_not_the_declared_image_are_refused(
    data: bytes, expected: str, error: type[Exception]
) -> None:
    with pytest.raises(error, match=expected):
        CameraCodec("scene", camera("compressed")).read(compressed(data))


@pytest.mark.parametrize("header", [b"", struct.pack("<iff", 0, 0.0, 0.0)])
def test_compressed_distances_are_exact(header: bytes) -> None:
    distances = np.random.default_rng(0).integers(0, 65536, (HEIGHT, WIDTH), dtype=np.uint16)
    png = cv2.imencode(".png", distances)[1].tobytes()
    data = compressed(header + png, "16UC1; compressedDepth png" if header else "16UC1; png compressed ")
    found = CameraCodec("depth", depth("16UC1", "compressed")).read(data)
    assert found.shape == (HEIGHT, WIDTH)
    np.testing.assert_array_equal(pixels_of(found), distances)


def test_compressed_distances_in_metres_come_back_as_the_plugin_made_them() -> None:
    """What image_transport's compressedDepth does: pixels are inverse distances, 0 is a pixel without one."""
    rng = np.random.default_rng(0)
    metres = rng.uniform(0.3, 10.0, (HEIGHT, WIDTH)).astype(np.float32)
    metres[0, 0] = np.nan
    a = np.float32(100.0 * 101.0)
    b = np.float32(1.0 - a / 10.0)
    quantised = np.where(np.isnan(metres), 0, a / metres + b).astype(np.uint16)
    header = struct.pack("<iff", 1, a, b)
    data = compressed(header + cv2.imencode(".png", quantised)[1].tobytes(), "32FC1; compressedDepth")
    found = pixels_of(CameraCodec("depth", depth("32FC1", "compressed")).read(data))
    assert found.dtype == np.float32
    assert np.isnan(found[0, 0])
    np.testing.assert_allclose(found, metres, rtol=0.01)


@pytest.mark.parametrize(
    ("kind", "declared", "expected"),
    [
        ("32FC1; compressedDepth", "16UC1", "expected images '16UC1', found"),
        ("16UC1; compressedDepth", "32FC1", "expected images '32FC1', found"),
        ("32FC1; png compressed", "32FC1", "expected floating-point distances as 'compressedDepth'"),
    ],
)
def test_compressed_distances_of_another_kind_are_refused(kind: str, declared: str, expected: str) -> None:
    png = struct.pack("<iff", 0, 0.0, 0.0) + cv2.imencode(".png", np.zeros((HEIGHT, WIDTH), np.uint16))[1].tobytes()
    with pytest.raises(StreamError, match=expected):
        CameraCodec("depth", depth(declared, "compressed")).read(compressed(png, kind))
