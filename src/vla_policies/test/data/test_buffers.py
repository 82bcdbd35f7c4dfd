"""Memory of batches: used again, but never while somebody still holds what is in it."""

from __future__ import annotations

import gc
import pickle

import numpy as np
import pytest
import torch

from vla_policies.data.buffers import Buffers

SHAPE = (2, 1, 512, 1024, 3)


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


@pytest.mark.parametrize(
    "derived",
    [
        lambda array: array,
        lambda array: array[:, -1],
        lambda array: array.reshape(2, -1)[1:],
        lambda array: torch.from_numpy(array)[0],
        lambda array: torch.from_numpy(array[:, -1]).permute(0, 3, 1, 2),
        lambda array: memoryview(array),
    ],
)
def test_memory_is_used_again_only_when_nobody_holds_it(derived) -> None:
    buffers = Buffers()
    array = buffers.empty(SHAPE)
    array[:] = 7
    first = address(array)
    held = derived(array)
    del array
    gc.collect()
    other = buffers.empty(SHAPE)
    other[:] = 9
    assert address(other) != first
    assert (np.asarray(held) == 7).all()
    del held, other
    gc.collect()
    assert first in {address(again) for again in [buffers.empty(SHAPE), buffers.empty(SHAPE)]}


def test_no_more_than_the_limit_is_kept() -> None:
    buffers = Buffers(limit=2)
    held = [buffers.empty(SHAPE) for _ in range(5)]
    del held
    gc.collect()
    assert len(buffers._free) == 2
    assert pickle.loads(pickle.dumps(buffers))._free == []
