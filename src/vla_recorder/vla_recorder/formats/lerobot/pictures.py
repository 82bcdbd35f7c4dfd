"""How a data set keeps the images of a camera: as video files, or as pictures in its tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Protocol

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vla_core.encoded import EncodedImage
from vla_core.errors import choice
from vla_recorder.formats.conversion import FormatError
from vla_recorder.formats.lerobot import layout
from vla_recorder.formats.lerobot.tables import image_column
from vla_recorder.formats.lerobot.video import Quality, VideoWriter, video_info

Pictures = Literal["high", "lossless", "images"]
PICTURES = ("high", "lossless", "images")

_MB = 1024 * 1024


class CameraTrack(Protocol):
    """Takes a camera's images, one episode after the other."""

    def add(self, image: NDArray[np.uint8], encoded: EncodedImage | None) -> None:
        """Takes an image (H, W, 3), and the file that it was, if it was one."""
        ...

    def end_episode(self) -> dict[str, Any]:
        """Ends an episode. Returns what the table of episodes says about this camera."""
        ...

    def column(self) -> pa.Array | None:
        """The images of the last episode, if they stand in the data table."""
        ...

    def close(self) -> dict[str, Any]:
        """Completes the files. Returns what ``meta/info.json`` says about them."""
        ...


def camera_track(folder: Path, role: str, shape: tuple[int, int], rate_hz: int, pictures: Pictures) -> CameraTrack:
    """The track of a camera of a data set in the making."""
    if pictures not in PICTURES:
        raise FormatError(f"pictures: expected {choice(PICTURES)}, found '{pictures}'")
    if pictures == "images":
        return TableTrack()
    return VideoTrack(folder, layout.IMAGES + role, shape, rate_hz, pictures)


class VideoTrack:
    """Episodes behind each other in video files of limited size."""

    def __init__(self, folder: Path, key: str, shape: tuple[int, int], rate_hz: int, quality: Quality) -> None:
        self._folder = folder
        self._key = key
        self._shape = shape
        self._rate_hz = rate_hz
        self._quality = quality
        self._place = (0, 0)
        self._first = 0  # image of the file with which the episode begins
        self._video: VideoWriter | None = None

    def add(self, image: NDArray[np.uint8], encoded: EncodedImage | None) -> None:
        if self._video is None:
            self._video = VideoWriter(self._path(self._place), self._rate_hz, *self._shape, quality=self._quality)
        self._video.add(image)

    def end_episode(self) -> dict[str, Any]:
        if self._video is None:
            raise FormatError(f"{self._key}: expected images, found none")
        chunk, file = self._place
        known = {
            f"videos/{self._key}/chunk_index": chunk,
            f"videos/{self._key}/file_index": file,
            f"videos/{self._key}/from_timestamp": self._first / self._rate_hz,
            f"videos/{self._key}/to_timestamp": self._video.images / self._rate_hz,
        }
        self._first = self._video.images
        if self._video.size >= layout.VIDEO_FILE_MB * _MB:
            self._video.close()
            self._video, self._first, self._place = None, 0, layout.next_file(*self._place)
        return known

    def column(self) -> pa.Array | None:
        return None

    def close(self) -> dict[str, Any]:
        if self._video is not None:
            self._video.close()
            self._video = None
        first = self._path((0, 0))
        return video_info(first) if first.exists() else {}

    def _path(self, place: tuple[int, int]) -> Path:
        chunk, file = place
        relative = layout.VIDEO_PATH.format(video_key=self._key, chunk_index=chunk, file_index=file)
        return self._folder / relative


class TableTrack:
    """Images as files in the data table: a JPEG as it was recorded, anything else as PNG, so that nothing is lost."""

    def __init__(self) -> None:
        self._images: list[bytes] = []
        self._ended: list[bytes] = []

    def add(self, image: NDArray[np.uint8], encoded: EncodedImage | None) -> None:
        if encoded is not None:
            self._images.append(bytes(encoded.data))
            return
        _, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_PNG_COMPRESSION, 1))
        self._images.append(data.tobytes())

    def end_episode(self) -> dict[str, Any]:
        self._ended, self._images = self._images, []
        return {}

    def column(self) -> pa.Array | None:
        return image_column(self._ended)

    def close(self) -> dict[str, Any]:
        return {"is_depth_map": False}
