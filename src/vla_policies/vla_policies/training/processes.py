"""The processes of a run, one for each device: those that torchrun starts, else this one alone."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from vla_policies.errors import TrainingError

_LONGEST_WAIT = timedelta(minutes=30)  # of the others, while the first one validates and writes


@dataclass(frozen=True)
class Processes:
    """Which process of a run this is.

    Attributes:
        rank: number of this process, from 0.
        count: how many there are.
        device: where this one computes.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this is the one that validates, writes and reports."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        """Whether there are no others."""
        return self.count == 1

    def own(self, numbers: list[int]) -> list[int]:
        """A seed, with the number of this process if there are others."""
        return numbers if self.alone else [*numbers, self.rank]

    def mean(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The means of scalars over all processes, which must have the same names in all of them."""
        if self.alone:
            return dict(values)
        stacked = torch.stack([value.detach().float() for value in values.values()])
        dist.all_reduce(stacked)
        return dict(zip(values, stacked / self.count, strict=True))

    def any(self, wish: bool) -> bool:
        """Whether one of the processes wishes it."""
        if self.alone:
            return wish
        wishes = torch.tensor(int(wish), device=self.device)
        dist.all_reduce(wishes, op=dist.ReduceOp.MAX)
        return bool(wishes)


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """Joins the processes that torchrun started beside this one, and leaves them in the end.

    Args:
        device: where to compute; of ``cuda`` without a number, each process takes its own one.

    Raises:
        TrainingError: they do not find each other.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes(0, 1, device)
        return
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    try:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_LONGEST_WAIT)
    except (RuntimeError, ValueError) as error:
        raise TrainingError(f"expected {count} processes, as WORLD_SIZE says; they do not meet: {error}") from error
    try:
        yield Processes(dist.get_rank(), dist.get_world_size(), device)
    finally:
        dist.destroy_process_group()


def is_first() -> bool:
    """Whether this process is the one that reports, by what torchrun says."""
    return os.environ.get("RANK", "0") == "0"
