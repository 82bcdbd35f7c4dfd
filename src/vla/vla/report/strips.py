"""What the cameras saw in an episode: a strip of pictures, evenly spread over its time."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vla_core.episodes import EpisodeReader

_WIDEST = 256  # [px] of a picture in the page
_JPEG_QUALITY = 85


@dataclass(frozen=True)
class Frame:
    """What all cameras saw at one step.

    Attributes:
        time_s: since the first step [s].
        pictures: as ``data:`` addresses, in the embodiment's order of cameras.
    """

    time_s: float
    pictures: tuple[str, ...]


def frames_of(episode: EpisodeReader, count: int) -> tuple[Frame, ...]:
    """``count`` steps of an episode (fewer if there are not so many), from the first to the last, evenly spread."""
    stamps_ns = episode.stamps_ns[episode.markers == 0]
    chosen = np.unique(np.linspace(0, len(stamps_ns) - 1, count).round().astype(int))
    cameras = episode.info.metadata.embodiment.cameras
    return tuple(
        Frame(
            float(stamps_ns[index] - stamps_ns[0]) * 1e-9,
            tuple(picture(episode.image(role, int(index))) for role in cameras),
        )
        for index in chosen
    )


def picture(image: NDArray[np.uint8]) -> str:
    """An RGB image (H, W, 3) as the ``data:`` address of a JPEG, made smaller if it is wide."""
    height, width = image.shape[:2]
    if width > _WIDEST:
        image = cv2.resize(image, (_WIDEST, round(height * _WIDEST / width)), interpolation=cv2.INTER_AREA)
    encoded = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")
