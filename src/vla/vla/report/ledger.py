"""Where the time of the executed chunks went, over recorded episodes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from vla_core.chunk_times import STAGES, TOTAL
from vla_core.episodes import EpisodeReader

_BINS = 26
_LEAST_MS = 1.0  # a histogram reaches at least so far


def ledger_figures(episodes: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """Measures each stage between exposure and command over recorded episodes.

    Returns:
        By stage, those that were told of, and last from exposure to command: ``chunks``; ``p50_ms``, ``p95_ms``, ``p99_ms``,
        ``max_ms``; and a histogram, ``edges_ms`` (one more than bins) with ``counts``.

    Raises:
        EpisodeError: a file cannot be read.
    """
    took: dict[str, list[float]] = {name: [] for name in (*STAGES, TOTAL)}
    for path in episodes:
        with EpisodeReader(path) as episode:
            for times in episode.ledger:
                for name, took_ms in zip(took, times.stages_ms(), strict=True):
                    if took_ms is not None:
                        took[name].append(took_ms)
    return {name: _figures(values) for name, values in took.items() if values}


def _figures(values: list[float]) -> dict[str, Any]:
    high = max(values)
    # from 0, or from less where clocks differ
    counts, edges = np.histogram(values, bins=_BINS, range=(min(0.0, *values), max(_LEAST_MS, 1.04 * high)))
    p50, p95, p99 = (float(value) for value in np.percentile(values, (50, 95, 99)))
    return {
        "chunks": len(values),
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "max_ms": high,
        "edges_ms": [float(edge) for edge in edges],
        "counts": [int(count) for count in counts],
    }
