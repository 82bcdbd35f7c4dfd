"""How long chunks took from each station to the next: a histogram for each stage."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vla_core.chunk_times import STAGES, TOTAL, ChunkTimes

_KEPT = 10_000  # newest values of a stage, for percentiles
_EDGES_MS = (
    0.0,
    0.1,
    0.2,
    0.5,
    1.0,
    2.0,
    5.0,
    10.0,
    20.0,
    30.0,
    40.0,
    50.0,
    75.0,
    100.0,
    150.0,
    200.0,
    300.0,
    500.0,
    1000.0,
)


@dataclass(frozen=True)
class StageLatency:
    """Percentiles of a stage [ms]; NaN before the first chunk."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


class LatencyLedger:
    """Counts how long the stages of chunks took.

    Attributes:
        stages: their names; the last one is from exposure to command.
        edges_ms: of the bins [ms]: each reaches from its edge to the next, the last one has no upper end. What is below the first
            edge, because the clocks of two machines differ, is counted in the first bin.
    """

    def __init__(self, edges_ms: Iterable[float] = _EDGES_MS) -> None:
        self.stages = (*STAGES, TOTAL)
        self.edges_ms = tuple(edges_ms)
        self.reset()

    def reset(self) -> None:
        """Begins anew."""
        self._counts = np.zeros((len(self.stages), len(self.edges_ms)), dtype=np.int64)
        self._values: list[list[float]] = [[] for _ in self.stages]

    def note(self, times: ChunkTimes) -> None:
        """Takes the times of a chunk; stages of which an end is not known are left out."""
        for stage, took_ms in enumerate(times.stages_ms()):
            if took_ms is None:
                continue
            self._counts[stage, max(0, int(np.searchsorted(self.edges_ms, took_ms, side="right")) - 1)] += 1
            self._values[stage].append(took_ms)
            del self._values[stage][:-_KEPT]

    @property
    def counts(self) -> NDArray[np.int64]:
        """(stages, bins) chunks."""
        return self._counts.copy()

    def latency(self, stage: str) -> StageLatency:
        """Percentiles of one of :attr:`stages`."""
        values = self._values[self.stages.index(stage)]
        if not values:
            return StageLatency(*[float("nan")] * 4)
        return StageLatency(*(float(value) for value in np.percentile(values, (50, 95, 99, 100))))
