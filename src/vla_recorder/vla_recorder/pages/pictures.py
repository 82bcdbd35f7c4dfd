"""Images of an episode as the text of a page, small enough that a browser opens it at once."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vla_core.encoded import encode_jpeg
from vla_core.episodes import EpisodeReader
from vla_recorder.formats.conversion import Progress

BUDGET = 24 * 1024 * 1024  # of all images of a page [B]; base64 makes a third more of it

_SIZES = ((640, 85), (480, 82), (400, 80), (320, 78), (240, 75), (160, 70))  # widest image [px] and quality, best first
_PROBES = 6  # images by which the size of all is judged


@dataclass(frozen=True)
class Film:
    """A camera's images over an episode.

    Attributes:
        role: of the camera.
        width: as recorded [px].
        height: as recorded [px].
        every: only one in so many steps has an image here.
        images: JPEG files as base64.
    """

    role: str
    width: int
    height: int
    every: int
    images: list[str]


def films_of(episode: EpisodeReader, progress: Progress, budget: int = BUDGET) -> list[Film]:
    """The images of all cameras, as large as the budget allows; if need be not of every step."""
    cameras = episode.info.metadata.embodiment.cameras
    if not cameras:
        return []
    widest, quality, every = _chosen_size(episode, budget)
    progress.begin("images", len(range(0, len(episode), every)) * len(cameras))
    films = []
    for role, camera in cameras.items():
        images = []
        for index in range(0, len(episode), every):
            images.append(base64.b64encode(_jpeg(episode, role, index, widest, quality)).decode("ascii"))
            progress.advance()
        films.append(Film(role, camera.width, camera.height, every, images))
    return films


def thumbnail(image: NDArray[np.uint8], widest: int = 200) -> str:
    """An RGB image (H, W, 3) as the ``data:`` address of a small JPEG."""
    return "data:image/jpeg;base64," + base64.b64encode(encode_jpeg(_shrunk(image, widest), 80)).decode("ascii")


def _chosen_size(episode: EpisodeReader, budget: int) -> tuple[int, int, int]:
    """The widest image, the quality, and the distance of the steps that are shown."""
    cameras = episode.info.metadata.embodiment.cameras
    for widest, quality in _SIZES:
        size = sum(_estimate(episode, role, widest, quality) for role in cameras)
        if size <= budget:
            return widest, quality, 1
    return widest, quality, math.ceil(size / budget)


def _estimate(episode: EpisodeReader, role: str, widest: int, quality: int) -> float:
    """Bytes of all images of a camera, judged by a few."""
    probes = list(_probes(len(episode)))
    return sum(len(_jpeg(episode, role, index, widest, quality)) for index in probes) / len(probes) * len(episode)


def _probes(length: int) -> Iterator[int]:
    yield from np.unique(np.linspace(0, length - 1, _PROBES).round().astype(int)).tolist()


def _jpeg(episode: EpisodeReader, role: str, index: int, widest: int, quality: int) -> bytes:
    """The image of a step; the file that was recorded, if it is one and no wider."""
    encoded = episode.encoded_image(role, index)
    if encoded is not None and encoded.format == "jpeg" and encoded.width <= widest:
        return bytes(encoded.data)
    return encode_jpeg(_shrunk(episode.image(role, index), widest), quality)


def _shrunk(image: NDArray[np.uint8], widest: int) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    if width <= widest:
        return image
    size = (widest, max(1, round(height * widest / width)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
