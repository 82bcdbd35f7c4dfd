"""Seeds of simulated worlds: those of demonstrations and those of evaluations never meet."""

from __future__ import annotations

from collections.abc import Iterator

_EVALUATION = 2**32
_STRIDE = 100_000


def demonstration_seeds(seed: int, count: int) -> Iterator[int]:
    """World seeds of ``count`` demonstrations."""
    return (seed * _STRIDE + index for index in range(count))


def evaluation_seeds(seed: int, count: int) -> Iterator[int]:
    """World seeds of ``count`` evaluation episodes: never one that demonstrations are recorded with."""
    return (_EVALUATION + seed * _STRIDE + index for index in range(count))
