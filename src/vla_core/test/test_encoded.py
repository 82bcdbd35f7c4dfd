"""Images as JPEG and PNG bytes: what is read without decoding, and what is refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vla_core.encoded import EncodedImage, encode_jpeg, encoded_image, jpeg_of, pixels_of
from vla_core.errors import ImageError


def picture(height: int = 48, width: int = 64) -> np.ndarray:
    """Smooth colours, red to the right and blue downwards: order of colours and of axes show."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return np.stack([x, np.full_like(x, 100), y], axis=-1).astype(np.uint8)


def segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2, "big") + content


def test_the_colours_and_axes_are_what_went_in() -> None:
    image = picture()
    for quality, error in ((95, 1.0), (40, 4.0)):
        decoded = encoded_image(encode_jpeg(image, quality)).decode()
        assert decoded.dtype == np.uint8
        assert np.abs(decoded.astype(int) - image).mean() < error
    assert len(encode_jpeg(image, 40)) < len(encode_jpeg(image, 95))


def test_a_view_that_is_not_contiguous_is_encoded_too() -> None:
    padded = np.zeros((48, 70, 3), np.uint8)
    padded[:, :64] = picture()
    padded.flags.writeable = False
    assert encode_jpeg(padded[:, :64], 95) == encode_jpeg(picture(), 95)


@pytest.mark.parametrize("options", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 4)])
@pytest.mark.parametrize(("height", "width"), [(48, 64), (1, 300), (257, 3)])
def test_a_jpegs_size_is_read_from_its_headers(height: int, width: int, options: tuple[int, ...]) -> None:
    data = cv2.imencode(".jpg", picture(height, width), options)[1].tobytes()
    plain = encoded_image(data)
    with_metadata = encoded_image(data[:2] + segment(0xE1, bytes(4000)) + b"\xff" + segment(0xFE, b"note") + data[2:])
    filled_up = encoded_image(memoryview(data + bytes(11)))  # as some cameras send them
    for found in (plain, with_metadata, filled_up):
        assert (found.format, found.height, found.width) == ("jpeg", height, width)
        assert found.decode().shape == found.shape == (height, width, 3)


def test_a_pngs_size_is_read_and_its_pixels_are_exact() -> None:
    image = picture(30, 50)
    found = encoded_image(cv2.imencode(".png", image[:, :, ::-1])[1].tobytes())
    assert (found.format, found.height, found.width) == ("png", 30, 50)
    np.testing.assert_array_equal(found.decode(), image)


def test_a_grey_jpeg_is_decoded_to_rgb() -> None:
    grey = picture()[:, :, 0]
    decoded = encoded_image(cv2.imencode(".jpg", grey)[1].tobytes()).decode()
    assert decoded.shape == (48, 64, 3)
    assert np.abs(decoded.astype(int) - grey[:, :, None]).mean() < 2


def test_a_jpeg_is_kept_as_it_came_and_everything_else_is_encoded() -> None:
    image = picture()
    jpeg = encode_jpeg(image, 30)
    assert jpeg_of(encoded_image(jpeg), 95) == jpeg
    assert jpeg_of(image, 30) == jpeg
    png = encoded_image(cv2.imencode(".png", image[:, :, ::-1])[1].tobytes())
    assert jpeg_of(png, 30) == jpeg
    assert pixels_of(image) is image


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_every_cut_is_found_without_decoding(kind: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    data = cv2.imencode(f".{kind}", image)[1].tobytes()
    for length in range(len(data)):
        with pytest.raises(ImageError):
            encoded_image(data[:length])


def test_what_is_no_image_is_refused_with_what_was_expected() -> None:
    with pytest.raises(ImageError, match="expected JPEG or PNG data, found 4 bytes that begin with 47 49 46 38"):
        encoded_image(b"GIF8")
    for wrong in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(ImageError, match=r"expected an image \(H, W, 3\) uint8, found"):
            encode_jpeg(wrong, 95)


def test_pixels_that_are_not_what_the_header_said_are_refused() -> None:
    data = encode_jpeg(picture(), 95)
    with pytest.raises(ImageError, match=r"expected \(50, 64, 3\), found \(48, 64, 3\) after decoding"):
        EncodedImage(data, "jpeg", 50, 64).decode()
