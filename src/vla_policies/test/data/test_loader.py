"""Batches: their order, and that it does not matter which process reads them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from vla_policies.data import EpisodeDataset, OnePerEpisode, Shuffled, WindowSpec, window_loader
from vla_policies.errors import WindowError


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, embodiment, kept_as, write) -> EpisodeDataset:
    folder = tmp_path_factory.mktemp("episodes")
    for number, images in enumerate(("raw", "jpeg", "lossless")):
        write(folder, kept_as(embodiment, images), 4 + number, first=50 * number)
    return EpisodeDataset(folder, WindowSpec(horizon=3, history=2))


def epochs(loader: DataLoader, count: int = 2) -> list[dict]:
    return [batch for _ in range(count) for batch in loader]


def require_equal(a: dict, b: dict) -> None:
    assert a.keys() == b.keys()
    for name, value in a.items():
        if isinstance(value, dict):
            require_equal(value, b[name])
        else:
            assert torch.equal(value, b[name]) if isinstance(value, torch.Tensor) else value == b[name]


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_give_what_one_process_gives(dataset, start) -> None:
    alone = epochs(window_loader(dataset, 4, seed=5))
    dataset.window(np.arange(3))  # with files mapped in this process
    helped = epochs(window_loader(dataset, 4, seed=5, workers=2, multiprocessing_context=start))
    assert len(alone) == len(helped) == 2 * 4
    for a, b in zip(alone, helped, strict=True):
        require_equal(a, b)


def drawn(batches: list[dict]) -> list[tuple[int, int]]:
    return [pair for batch in batches for pair in zip(batch["episodes"].tolist(), batch["steps"].tolist(), strict=True)]


def test_every_window_comes_once_per_epoch_in_an_order_of_the_seed(dataset) -> None:
    everything = [(episode, step) for episode in range(3) for step in range(4 + episode)]
    first, second = (drawn(epochs(loader, 1)) for loader in [window_loader(dataset, 4, seed=1)] * 2)
    assert sorted(first) == sorted(second) == everything
    assert first != second
    assert drawn(epochs(window_loader(dataset, 4, seed=1), 1)) == first
    assert drawn(epochs(window_loader(dataset, 4, seed=2), 1)) != first


def test_an_epoch_can_be_chosen(dataset) -> None:
    sampler = Shuffled(dataset, seed=1)
    orders = [list(sampler) for _ in range(3)]
    sampler.set_epoch(1)
    assert list(sampler) == orders[1]


def test_some_episodes_only(dataset) -> None:
    sampler = Shuffled(dataset, seed=1, episodes=[2, 0])
    assert len(sampler) == 10
    batches = epochs(window_loader(dataset, 4, sampler), 1)
    assert {episode for episode, _ in drawn(batches)} == {0, 2}


def test_one_window_of_each_episode(dataset) -> None:
    sampler = OnePerEpisode(dataset, seed=0)
    loader = window_loader(dataset, 3, sampler)
    batches = epochs(loader, 60)
    assert len(sampler) == 3
    assert all(sorted(batch["episodes"].tolist()) == [0, 1, 2] for batch in batches)
    assert set(drawn(batches)) == {(episode, step) for episode in range(3) for step in range(4 + episode)}


def test_torchs_own_loader_makes_the_same_batches(dataset) -> None:
    theirs = epochs(DataLoader(dataset, 4, sampler=Shuffled(dataset, seed=3)), 1)
    for a, b in zip(epochs(window_loader(dataset, 4, seed=3), 1), theirs, strict=True):
        require_equal(a, b)


def test_wrong_sizes_are_refused(dataset) -> None:
    with pytest.raises(WindowError, match="batch_size >= 1 and workers >= 0, found 0 and 0"):
        window_loader(dataset, 0)
    with pytest.raises(WindowError, match="expected at least one to draw, found none"):
        Shuffled(dataset, episodes=[])
