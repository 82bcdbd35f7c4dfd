"""Statistics of a feature as lerobot keeps them: of an episode, and of all episodes together.

Those of all episodes are exact, quantiles included, which lerobot itself only averages over episodes: policies normalize by them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Stats = Mapping[str, NDArray[np.float64]]
"""``min``, ``max``, ``mean``, ``std``, ``count`` (1,) and the quantiles ``q01`` to ``q99``."""

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
_FEWEST, _MOST, _POWER = 100, 10_000, 0.75  # images that are looked at; lerobot's estimate_num_samples
_LARGE, _SMALL = 300, 150  # images of this many pixels are thinned out to about so many


def vector_stats(values: NDArray[np.generic]) -> Stats:
    """Statistics of the columns of numbers (T, n), or (T,) of a scalar."""
    rows = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
    found = {
        "min": rows.min(axis=0),
        "max": rows.max(axis=0),
        "mean": rows.mean(axis=0),
        "std": rows.std(axis=0),
        "count": np.array([len(rows)]),
    }
    return found | {name: np.quantile(rows, share, axis=0) for name, share in QUANTILES.items()}


class ImageStats:
    """Statistics of some of an episode's images, per colour (3, 1, 1), values 0 to 1.

    Args:
        length: images of the episode; which of them count follows from it. 0 if only others are joined.
    """

    def __init__(self, length: int = 0) -> None:
        samples = max(min(_FEWEST, length), min(int(length**_POWER), _MOST))
        self._chosen = frozenset(np.round(np.linspace(0, length - 1, samples)).astype(int).tolist())
        self._counts = np.zeros((3, 256), dtype=np.int64)
        self._images = 0

    def add(self, index: int, image: NDArray[np.uint8]) -> None:
        """Takes an image (H, W, 3) of the episode; whether it counts depends on its index."""
        if index not in self._chosen:
            return
        height, width, _ = image.shape
        thinning = max(1, max(height, width) // _SMALL) if max(height, width) >= _LARGE else 1
        thinned = image[::thinning, ::thinning]
        for color in range(3):
            self._counts[color] += np.bincount(thinned[:, :, color].ravel(), minlength=256)
        self._images += 1

    def join(self, other: ImageStats) -> None:
        """Counts all images that another has counted."""
        self._counts += other._counts
        self._images += other._images

    def result(self) -> Stats:
        levels = np.arange(256) / 255.0
        total = self._counts.sum(axis=1)
        mean = self._counts @ levels / total
        present = self._counts > 0
        found = {
            "min": levels[present.argmax(axis=1)],
            "max": levels[255 - present[:, ::-1].argmax(axis=1)],
            "mean": mean,
            "std": np.sqrt(np.maximum(0.0, self._counts @ levels**2 / total - mean**2)),
        }
        below = np.cumsum(self._counts, axis=1)
        for name, share in QUANTILES.items():
            found[name] = levels[(below >= share * total[:, None]).argmax(axis=1)]
        return {name: value.reshape(3, 1, 1) for name, value in found.items()} | {"count": np.array([self._images])}
