"""MP4 files of images: one camera, several episodes behind each other, read and written with PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from numpy.typing import NDArray

from vla_core.errors import choice
from vla_recorder.formats.conversion import FormatError

Quality = Literal["high", "lossless"]

_GROUP = 2  # every other image is whole, so that any one is found fast; lerobot's own choice
_OPTIONS = {"g": str(_GROUP), "bf": "0", "threads": "1"}  # more threads wait for each other more than they help
# crf 18: differences that one does not see. Lossless is x264's own mode on RGB, four times as large as PNG at worst
_CODECS: dict[str, tuple[str, dict[str, str]]] = {
    "high": ("libx264", {"crf": "18", "preset": "veryfast"}),
    "lossless": ("libx264rgb", {"qp": "0", "preset": "veryfast"}),
}


class VideoWriter:
    """Writes images as one video of a constant rate.

    Args:
        path: of the mp4 file, which must not exist.
        rate_hz: images per second.
        height: [pixels].
        width: [pixels].
        quality: ``high`` loses what one does not see, ``lossless`` nothing.

    Raises:
        FormatError: the file cannot be made, or an image has another size.
    """

    def __init__(self, path: Path, rate_hz: int, height: int, width: int, quality: Quality = "high") -> None:
        if quality not in _CODECS:
            raise FormatError(f"video quality: expected {choice(_CODECS)}, found '{quality}'")
        codec, options = _CODECS[quality]
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.images = 0
        self._shape = (height, width, 3)
        self._rate_hz = rate_hz
        self._file = av.open(str(path), "w", options={"movflags": "faststart"})
        self._stream: Any = self._file.add_stream(codec, rate=rate_hz, options={**_OPTIONS, **options})
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = self._pixels(quality, height, width)

    def add(self, image: NDArray[np.uint8]) -> None:
        """Adds an image (H, W, 3), RGB."""
        if image.shape != self._shape:
            raise FormatError(f"{self.path}: expected an image {self._shape}, found {image.shape}")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame.pts, frame.time_base = self.images, Fraction(1, self._rate_hz)
        self._file.mux(self._stream.encode(frame))
        self.images += 1

    @property
    def size(self) -> int:
        """Bytes so far, nearly."""
        return self.path.stat().st_size

    def close(self) -> None:
        self._file.mux(self._stream.encode(None))
        self._file.close()

    @staticmethod
    def _pixels(quality: str, height: int, width: int) -> str:
        """Colours at half the resolution where both sides are even, as most decoders in hardware want it."""
        if quality == "lossless":
            return "rgb24"
        return "yuv420p" if height % 2 == 0 and width % 2 == 0 else "yuv444p"


def video_info(path: Path) -> dict[str, Any]:
    """What lerobot keeps about a video in the feature's ``info``."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        return {
            "video.height": stream.height,
            "video.width": stream.width,
            "video.codec": stream.codec.canonical_name,
            "video.pix_fmt": stream.pix_fmt,
            "video.fps": int(stream.base_rate or 0),
            "video.channels": 3,
            "has_audio": False,
            "is_depth_map": False,
        }


def read_images(path: Path, from_s: float, rate_hz: float, count: int) -> Iterator[NDArray[np.uint8]]:
    """The images (H, W, 3) RGB of one episode in a video, in order.

    Args:
        path: of the video.
        from_s: when the episode begins in it [s].
        rate_hz: images per second.
        count: number of images.

    Raises:
        FormatError: the video is missing or broken, or has no image within half a period of a time that needs one.
    """
    if not path.is_file():
        raise FormatError(f"{path}: expected a video, found nothing")
    given = 0
    try:
        with av.open(str(path)) as file:
            stream = file.streams.video[0]
            base = stream.time_base or Fraction(1, 1000)
            file.seek(max(0, round(from_s / base) - 1), stream=stream, backward=True)
            for frame in file.decode(stream):
                if frame.pts is None or given == count:
                    continue
                index = (float(frame.pts * base) - from_s) * rate_hz
                if index < given - 0.5:
                    continue
                if index > given + 0.5:
                    raise FormatError(
                        f"{path}: expected an image at {from_s + given / rate_hz:.4f} s, found the next one at "
                        f"{float(frame.pts * base):.4f} s"
                    )
                yield frame.to_ndarray(format="rgb24")
                given += 1
                if given == count:
                    return
    except (av.FFmpegError, IndexError) as error:
        raise FormatError(f"{path}: expected a whole video, found it broken: {error}") from error
    if given < count:
        raise FormatError(f"{path}: expected {count} images from {from_s:.4f} s on, found {given}")
