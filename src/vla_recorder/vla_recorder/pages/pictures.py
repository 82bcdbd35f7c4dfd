"""Images of an episode as the text of a page, small enough that a browser opens it at once."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from vla_core.encoded import EncodedImage, encode_jpeg
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
        caption: what stands on them.
        width: as recorded [px].
        height: as recorded [px].
        every: only one in so many steps has an image here.
        images: JPEG files as base64.
    """

    role: str
    caption: str
    width: int
    height: int
    every: int
    images: list[str]


@dataclass(frozen=True)
class _View:
    """A camera or depth camera of an episode as something to look at: step to image (H, W, 3), and to its file if it is one."""

    role: str
    caption: str
    width: int
    height: int
    image: Callable[[int], NDArray[np.uint8]]
    encoded: Callable[[int], EncodedImage | None]

    def jpeg(self, index: int, widest: int, quality: int) -> bytes:
        """The image of a step; the file that was recorded, if it is one and no wider."""
        encoded = self.encoded(index)
        if encoded is not None and encoded.width <= widest:
            return bytes(encoded.data)
        return encode_jpeg(_shrunk(self.image(index), widest), quality)

    def estimate(self, length: int, widest: int, quality: int) -> float:
        """Bytes of the images of so many steps, judged by a few."""
        probes = _probes(length)
        return sum(len(self.jpeg(index, widest, quality)) for index in probes) / len(probes) * length


def films_of(episode: EpisodeReader, progress: Progress, budget: int = BUDGET) -> list[Film]:
    """The images of all cameras, as large as the budget allows; if need be not of every step."""
    views = list(_views(episode))
    if not views:
        return []
    widest, quality, every = _chosen_size(views, len(episode), budget)
    shown = range(0, len(episode), every)
    progress.begin("images", len(shown) * len(views))
    films = []
    for view in views:
        images = []
        for index in shown:
            images.append(base64.b64encode(view.jpeg(index, widest, quality)).decode("ascii"))
            progress.advance()
        films.append(Film(view.role, view.caption, view.width, view.height, every, images))
    return films


def thumbnail(image: NDArray[np.uint8], widest: int = 200) -> str:
    """An RGB image (H, W, 3) as the ``data:`` address of a small JPEG."""
    return "data:image/jpeg;base64," + base64.b64encode(encode_jpeg(_shrunk(image, widest), 80)).decode("ascii")


def _views(episode: EpisodeReader) -> Iterator[_View]:
    embodiment = episode.info.metadata.embodiment
    for role, camera in embodiment.cameras.items():
        image, encoded = partial(episode.image, role), partial(episode.encoded_image, role)
        yield _View(role, role, camera.width, camera.height, image, encoded)
    for role, depth in embodiment.depth_cameras.items():
        low, high = _range_of(episode, role)
        caption = f"{role}, {low:g} to {high:g} {depth.unit}"
        colored = partial(_colored, episode, role, low, high)
        yield _View(role, caption, depth.width, depth.height, colored, lambda index: None)


def _range_of(episode: EpisodeReader, role: str) -> tuple[float, float]:
    """The distances between which nearly all of an episode's are; 0 is none."""
    some = np.stack([episode.depth(role, index) for index in _probes(len(episode))])
    known = some[np.isfinite(some) & (some > 0)]
    if not known.size:
        return 0.0, 1.0
    low, high = (float(f"{value:.3g}") for value in np.percentile(known, (1, 99)))
    return low, max(high, low + 1e-3)


def _colored(episode: EpisodeReader, role: str, low: float, high: float, index: int) -> NDArray[np.uint8]:
    """A depth image in colours from red, near, to blue, far; black where no distance is known."""
    depth = episode.depth(role, index).astype(np.float64)
    known = np.isfinite(depth) & (depth > 0)
    nearness = np.where(known, (high - np.where(known, depth, high)) / (high - low), 0.0)
    colors = cv2.applyColorMap((np.clip(nearness, 0, 1) * 255).astype(np.uint8), cv2.COLORMAP_TURBO)[:, :, ::-1]
    return np.asarray(np.where(known[:, :, None], colors, 0), dtype=np.uint8)


def _chosen_size(views: Sequence[_View], length: int, budget: int) -> tuple[int, int, int]:
    """The widest image, the quality, and the distance of the steps that are shown."""
    for widest, quality in _SIZES:
        size = sum(view.estimate(length, widest, quality) for view in views)
        if size <= budget:
            return widest, quality, 1
    return widest, quality, math.ceil(size / budget)


def _probes(length: int) -> list[int]:
    return [int(index) for index in np.unique(np.linspace(0, length - 1, _PROBES).round())]


def _shrunk(image: NDArray[np.uint8], widest: int) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    if width <= widest:
        return image
    size = (widest, max(1, round(height * widest / width)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
