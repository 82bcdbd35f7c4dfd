"""Where the images of the episodes come from: memory if they fit, else the files."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vla_core.episodes import EpisodeReader
from vla_policies.spec import ImageSize
from vla_policies.transforms import resize_image

_OPEN_FILES = 64


class ImageStore(Protocol):
    """Images of all cameras by row, counted over all episodes."""

    def images(self, rows: NDArray[np.intp]) -> dict[str, NDArray[np.uint8]]:
        """Role to the images at these rows (B, H, W, 3) uint8 RGB, of the network's size; the caller's own."""
        ...


def open_image_store(
    paths: Sequence[Path], lengths: Sequence[int], sizes: Mapping[str, ImageSize], memory_limit_bytes: float
) -> ImageStore:
    """Decodes everything once if it fits into the limit, otherwise reads from the files as needed."""
    needed = sum(lengths) * sum(size.width * size.height * 3 for size in sizes.values())
    if needed <= memory_limit_bytes:
        return ImagesInMemory(paths, lengths, sizes)
    return ImagesInFiles(paths, lengths, sizes)


class ImagesInMemory:
    """All images, decoded and resized once, as uint8."""

    def __init__(self, paths: Sequence[Path], lengths: Sequence[int], sizes: Mapping[str, ImageSize]) -> None:
        self._images = {
            role: np.empty((sum(lengths), size.height, size.width, 3), np.uint8) for role, size in sizes.items()
        }
        start = 0
        for path, length in zip(paths, lengths, strict=True):
            with EpisodeReader(path) as reader:
                for role, size in sizes.items():
                    for row, image in enumerate(reader.images(role)):
                        self._images[role][start + row] = resize_image(image, size)
            start += length

    def images(self, rows: NDArray[np.intp]) -> dict[str, NDArray[np.uint8]]:
        return {role: images[rows] for role, images in self._images.items()}


class ImagesInFiles:
    """Images read from the episodes when they are asked for; a few files stay open."""

    def __init__(self, paths: Sequence[Path], lengths: Sequence[int], sizes: Mapping[str, ImageSize]) -> None:
        self._paths = tuple(paths)
        self._starts = np.concatenate([[0], np.cumsum(lengths)])
        self._sizes = sizes
        self._readers: OrderedDict[int, EpisodeReader] = OrderedDict()

    def images(self, rows: NDArray[np.intp]) -> dict[str, NDArray[np.uint8]]:
        batches = {
            role: np.empty((len(rows), size.height, size.width, 3), np.uint8) for role, size in self._sizes.items()
        }
        for place, row in enumerate(rows):
            episode = int(np.searchsorted(self._starts, row, side="right")) - 1
            reader = self._reader(episode)
            for role, size in self._sizes.items():
                image = reader.image(role, int(row - self._starts[episode]))
                batches[role][place] = resize_image(image, size)
        return batches

    def _reader(self, episode: int) -> EpisodeReader:
        """An open reader; the one that was not used for longest is closed."""
        if episode in self._readers:
            self._readers.move_to_end(episode)
        else:
            self._readers[episode] = EpisodeReader(self._paths[episode])
            if len(self._readers) > _OPEN_FILES:
                self._readers.popitem(last=False)[1].close()
        return self._readers[episode]
