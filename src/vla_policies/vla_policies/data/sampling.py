"""In which order windows are drawn: at random, the same for the same seed, however many workers there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from vla_policies.data.dataset import EpisodeDataset
from vla_policies.errors import WindowError


class _ByEpoch(Sampler[int]):
    """Counts epochs: each iteration is the next one, unless it is told which."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """The epoch that the next iteration is."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng([self._seed, self._epoch])
        self._epoch += 1
        return map(int, self._order(rng))

    def _order(self, rng: np.random.Generator) -> NDArray[np.intp]:
        raise NotImplementedError


class Shuffled(_ByEpoch):
    """Every window once per epoch, in random order; of some episodes only, if their places are given."""

    def __init__(self, dataset: EpisodeDataset, seed: int = 0, episodes: Sequence[int] | None = None) -> None:
        """Raises WindowError if there is no window to draw."""
        super().__init__(seed)
        self._indices = np.arange(len(dataset)) if episodes is None else dataset.indices_of(episodes)
        _require_some(self._indices)

    def __len__(self) -> int:
        return len(self._indices)

    def _order(self, rng: np.random.Generator) -> NDArray[np.intp]:
        return rng.permutation(self._indices)


class OnePerEpisode(_ByEpoch):
    """One window of each episode per epoch, at a random step: how ACT draws, where a long episode counts as a short one."""

    def __init__(self, dataset: EpisodeDataset, seed: int = 0, episodes: Sequence[int] | None = None) -> None:
        """Raises WindowError if there is no window to draw."""
        super().__init__(seed)
        places = range(len(dataset.paths)) if episodes is None else episodes
        self._of_episodes = [found for place in places if len(found := dataset.indices_of([place]))]
        _require_some(self._of_episodes)

    def __len__(self) -> int:
        return len(self._of_episodes)

    def _order(self, rng: np.random.Generator) -> NDArray[np.intp]:
        return rng.permutation([rng.choice(indices) for indices in self._of_episodes])


def _require_some(found: Sequence[object] | NDArray[np.intp]) -> None:
    if not len(found):
        raise WindowError("windows: expected at least one to draw, found none in these episodes")
