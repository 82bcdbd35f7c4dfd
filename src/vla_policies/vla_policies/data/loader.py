"""Batches of windows, read by other processes if wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler

from vla_policies.data.dataset import EpisodeDataset, Samples
from vla_policies.data.sampling import Shuffled
from vla_policies.data.window import Window
from vla_policies.errors import WindowError


def window_loader(
    dataset: EpisodeDataset,
    batch_size: int,
    sampler: Sampler[int] | None = None,
    seed: int = 0,
    workers: int = 0,
    finish: Callable[[Window], Any] = Window.tensors,
    **options: Any,
) -> DataLoader[Any]:
    """Batches in an order that depends on the seed and the epoch only, and not on the number of workers.

    Args:
        dataset: whose windows.
        batch_size: windows of a batch.
        sampler: order of the windows; default: all of them once per epoch, shuffled with the seed.
        seed: also of torch's generator in each worker, for a ``finish`` that draws random numbers.
        workers: processes that read; 0: this one.
        finish: what becomes of each batch, in the process that reads it. Default: a dictionary of tensors.
        options: further ones of torch's DataLoader, such as ``pin_memory`` or ``drop_last``.

    Raises:
        WindowError: a batch without windows.
    """
    if batch_size < 1 or workers < 0:
        raise WindowError(f"window loader: expected batch_size >= 1 and workers >= 0, found {batch_size} and {workers}")
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=Shuffled(dataset, seed) if sampler is None else sampler,
        num_workers=workers,
        collate_fn=_Finish(finish),
        generator=torch.Generator().manual_seed(seed),
        persistent_workers=workers > 0,
        **options,
    )


class _Finish:
    """Takes the batch as it was read, instead of putting its samples together again."""

    def __init__(self, finish: Callable[[Window], Any]) -> None:
        self._finish = finish

    def __call__(self, samples: Sequence[dict[str, Any]]) -> Any:
        assert isinstance(samples, Samples), "what the data set returned is handed on as it is"
        return self._finish(samples.window)
