"""The image codec: cv_bridge's results and refusals, and what it does with what cv_bridge gets wrong."""

from __future__ import annotations

import importlib.util
import json
from array import array
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_core.errors import ImageError
from vla_core.images import decode_compressed_image, decode_image

TABLE = Path(__file__).parents[3] / "test" / "data" / "cv_bridge"
CASES = json.loads((TABLE / "imgmsg_to_cv2.json").read_text())["cases"]
DESIRED = ("passthrough", "bgr8", "rgb8", "mono8", "mono16", "bgra8", "32FC1")
SHEARED_BY_CV_BRIDGE = "rgb8_padded_odd"


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    with np.load(TABLE / "imgmsg_to_cv2.npz", allow_pickle=False) as file:
        return dict(file)


def decode(case: dict, data: np.ndarray, desired: str) -> np.ndarray:
    fields = (case["encoding"], case["height"], case["width"], case["step"], case["is_bigendian"])
    return decode_image(*fields, data, desired)


def tolerances(case: dict, desired: str) -> tuple[float, float]:
    """Allowed difference inside and at the border, of 255 (16-bit results: scaled as the image is)."""
    encoding = case["encoding"]
    exact = desired in ("passthrough", "32FC1", encoding) or not (
        desired.startswith("mono") or encoding.startswith(("bayer", "yuv"))
    )
    if exact or encoding.startswith("mono"):
        return 0.0, 0.0
    scale = 257.0 if desired == "mono16" else 1.0
    return scale, (2 * scale if encoding.startswith("bayer") else scale)


@pytest.mark.parametrize("desired", DESIRED)
@pytest.mark.parametrize("name", [name for name in CASES if name != SHEARED_BY_CV_BRIDGE])
def test_the_result_is_that_of_cv_bridge(arrays: dict[str, np.ndarray], name: str, desired: str) -> None:
    case, data = CASES[name], arrays[f"{name}.data"]
    if case["results"][desired] == "error":
        with pytest.raises(ImageError):
            decode(case, data, desired)
        return
    expected, found = arrays[f"{name}.{desired}"], decode(case, data, desired)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    assert found.dtype.isnative
    inside, border = tolerances(case, desired)
    if border == 0.0:
        np.testing.assert_array_equal(found, expected)
        return
    difference = np.abs(found.astype(float) - expected.astype(float))
    assert difference.max() <= border
    assert np.max(difference[1:-1, 1:-1], initial=0.0) <= inside


def test_the_table_holds_what_it_should() -> None:
    assert len(CASES) == 92
    assert all(set(case["results"]) == set(DESIRED) for case in CASES.values())
    assert sum(result == "error" for case in CASES.values() for result in case["results"].values()) > 200


@pytest.mark.parametrize("desired", ["passthrough", "rgb8", "bgr8", "mono8"])
def test_padding_that_is_no_multiple_of_the_pixel_is_dropped(arrays: dict[str, np.ndarray], desired: str) -> None:
    case, data = CASES[SHEARED_BY_CV_BRIDGE], arrays[f"{SHEARED_BY_CV_BRIDGE}.data"]
    tight = data.reshape(10, 41)[:, :36].copy()
    expected = decode_image("rgb8", 10, 12, 36, 0, tight.reshape(-1), desired)
    np.testing.assert_array_equal(decode(case, data, desired), expected)
    np.testing.assert_array_equal(decode(case, data, "rgb8"), tight.reshape(10, 12, 3))


@given(
    encoding=st.sampled_from(["rgb8", "bgr8", "rgba8", "mono8", "mono16", "16UC1", "32FC1", "64FC3", "yuv422"]),
    height=st.integers(1, 7),
    width=st.integers(1, 7),
    padding=st.integers(0, 17),
    extra=st.integers(0, 5),
    seed=st.integers(0, 2**32 - 1),
)
def test_padding_and_excess_bytes_never_change_the_image(
    encoding: str, height: int, width: int, padding: int, extra: int, seed: int
) -> None:
    bytes_per_pixel = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "mono8": 1, "mono16": 2, "16UC1": 2, "32FC1": 4, "64FC3": 24}
    row = width * bytes_per_pixel.get(encoding, 2)
    rng = np.random.default_rng(seed)
    padded = rng.integers(0, 256, (height, row + padding), np.uint8)
    data = np.concatenate([padded.reshape(-1), np.zeros(extra, np.uint8)])
    tight = np.ascontiguousarray(padded[:, :row]).reshape(-1)
    targets = ["passthrough"] if encoding in ("16UC1", "32FC1", "64FC3") else ["passthrough", "rgb8", "mono8"]
    for desired in targets:
        found = decode_image(encoding, height, width, row + padding, 0, data, desired)
        expected = decode_image(encoding, height, width, row, 0, tight, desired)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("encoding", ["mono16", "16UC1", "16SC1", "32SC1", "32FC1", "64FC1", "rgb16"])
def test_big_endian_elements_are_turned(encoding: str) -> None:
    little = np.arange(1, 2 * 3 * 24 + 1, dtype=np.uint8)
    native = decode_image(encoding, 2, 3, 72, 0, little, "passthrough")
    swapped = native.byteswap().tobytes()
    step = len(swapped) // 2
    np.testing.assert_array_equal(decode_image(encoding, 2, 3, step, 1, swapped, "passthrough"), native)


@pytest.mark.parametrize(
    "container", [bytes, bytearray, memoryview, lambda b: array("B", b), lambda b: np.frombuffer(b, "u1")]
)
@pytest.mark.parametrize("padding", [0, 5])
def test_an_image_that_is_as_desired_is_a_view(container: type, padding: int) -> None:
    data = container(bytes(range(3 * (18 + padding))))
    for desired in ("rgb8", "passthrough"):
        image = decode_image("rgb8", 3, 6, 18 + padding, 0, data, desired)
        assert np.shares_memory(image, np.frombuffer(data, np.uint8))
        assert image.flags.writeable == (not memoryview(data).readonly)
        assert image[1, 0, 0] == 18 + padding
    for desired in ("bgr8", "mono8"):
        converted = decode_image("rgb8", 3, 6, 18 + padding, 0, data, desired)
        assert not np.shares_memory(converted, np.frombuffer(data, np.uint8))
        assert converted.flags.c_contiguous
        assert converted.flags.writeable


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (("hsv8", 2, 2, 6, 0, bytes(12)), "unknown encoding 'hsv8'; expected rgb8, .*yuv422_yuy2, or a plain type"),
        (("rgb8", 2, 2, 6, 0, bytes(11)), r"'rgb8' of 2 x 2 \(height x width\), step 6: expected 12 bytes, found 11"),
        (("rgb8", 0, 0, 0, 0, b""), "expected pixels, found 0 x 0"),
        (("16UC1", 2, 2, 4, 0, bytes(8)), "image '16UC1' does not say what colours it has; expected 'passthrough'"),
        (
            ("rgb8", 2, 2, 6, 0, bytes(12), "jpeg"),
            "desired encoding: expected 'rgb8', .* or 'passthrough', found 'jpeg'",
        ),
        (("bayer_rggb8", 2, 2, 2, 0, bytes(4), "bgra8"), "'bayer_rggb8': expected 'rgb8', .* found 'bgra8'"),
        (("32FC1", 2, 2, 8, 0, bytes(16), "16UC1"), "'32FC1': expected one channel of numbers that fit '16UC1'"),
        (("8UC0", 2, 2, 0, 0, b""), "unknown encoding '8UC0'"),
    ],
)
def test_a_refusal_says_what_was_expected(fields: tuple, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        decode_image(*fields)


def test_depth_is_handed_out_as_it_is() -> None:
    millimetres = np.array([[0, 1, 65535], [300, 4000, 7]], np.uint16)
    found = decode_image("16UC1", 2, 3, 6, 0, millimetres.tobytes(), "16UC1")
    np.testing.assert_array_equal(found, millimetres)
    metres = np.array([[np.nan, np.inf, 0.25]], np.float32)
    np.testing.assert_array_equal(decode_image("32FC1", 1, 3, 12, 0, metres.tobytes(), "32FC1"), metres)


# -- compressed images ------------------------------------------------------------------------------------------------------


def scene(height: int = 48, width: int = 64) -> np.ndarray:
    """A smooth RGB image (H, W, 3): JPEG keeps it to a few units."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)], axis=2).astype(np.uint8)


def compress(image: np.ndarray, suffix: str) -> bytes:
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(suffix, image)[1].tobytes()


def test_a_png_is_decoded_exactly() -> None:
    image = scene()
    np.testing.assert_array_equal(decode_compressed_image(compress(image, ".png")), image)
    np.testing.assert_array_equal(decode_compressed_image(compress(image, ".png"), "bgr8"), image[:, :, ::-1])
    grey = image[:, :, 0]
    np.testing.assert_array_equal(decode_compressed_image(compress(grey, ".png"), "mono8"), grey)
    np.testing.assert_array_equal(decode_compressed_image(compress(grey, ".png")), np.stack([grey] * 3, axis=2))


def test_a_jpeg_is_decoded_to_rgb() -> None:
    difference = np.abs(decode_compressed_image(compress(scene(), ".jpg")).astype(int) - scene())
    assert difference.max() <= 12
    assert difference.mean() <= 2


@pytest.mark.parametrize("desired", ["16UC1", "passthrough", "mono16"])
def test_a_png_of_depth_keeps_its_16_bits(desired: str) -> None:
    depth = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) * 21
    np.testing.assert_array_equal(decode_compressed_image(compress(depth, ".png"), desired), depth)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9, 0.999])
def test_an_image_that_ends_early_is_refused_and_not_filled_up(suffix: str, kept: float) -> None:
    data = compress(scene(), suffix)
    with pytest.raises(ImageError, match=r"compressed image: expected a whole JPEG or PNG, found \d+ bytes"):
        decode_compressed_image(data[: int(len(data) * kept)])


@pytest.mark.parametrize("data", [b"", b"GIF89a...", bytes(100)])
def test_what_is_neither_jpeg_nor_png_is_refused(data: bytes) -> None:
    with pytest.raises(ImageError, match="compressed image: expected JPEG or PNG data, found"):
        decode_compressed_image(data)


# -- the real cv_bridge, where there is one ---------------------------------------------------------------------------------


@pytest.mark.skipif(importlib.util.find_spec("cv_bridge") is None, reason="cv_bridge is not installed")
@pytest.mark.parametrize("desired", DESIRED)
def test_the_installed_cv_bridge_agrees(arrays: dict[str, np.ndarray], desired: str) -> None:
    from cv_bridge import CvBridge
    from sensor_msgs.msg import Image

    for name, case in CASES.items():
        if name == SHEARED_BY_CV_BRIDGE:
            continue
        data = arrays[f"{name}.data"]
        fields = {key: case[key] for key in ("encoding", "height", "width", "step", "is_bigendian")}
        message = Image(**fields, data=array("B", data.tobytes()))
        try:
            expected = np.asarray(CvBridge().imgmsg_to_cv2(message, desired))
        except Exception as error:
            if case["is_bigendian"] and isinstance(error, AttributeError):
                continue  # cv_bridge cannot read big-endian images with numpy 2
            with pytest.raises(ImageError):
                decode(case, data, desired)
            continue
        found = decode(case, data, desired)
        assert (name, found.shape, found.dtype) == (name, expected.shape, expected.dtype)
        _, border = tolerances(case, desired)
        np.testing.assert_allclose(found.astype(float), expected.astype(float), rtol=0, atol=border, err_msg=name)
