"""Temporal ensembling: every chunk that has an action for a time has a vote."""

from __future__ import annotations

import numpy as np

from vla_core.action_chunk import ActionChunk
from vla_core.chunking.curve import ChunkCurve, Reference
from vla_core.chunking.easing import eased


class TemporalEnsembling:
    """Averages what all chunks say about a time, the oldest with the largest weight.

    ::

        chunk 1   ●──●──●──●──●──●              weight exp(0)
        chunk 2      ●──●──●──●──●──●           weight exp(-coefficient)
        chunk 3         ●──●──●──●──●──●        weight exp(-2 coefficient)      / their sum

    Whether a chunk has a vote is decided by its times and never by its values: a true zero counts.
    Source: ACT (tonyzhaozh/act, imitate_episodes.py, ``temporal_agg``), by time instead of by step.

    Args:
        coefficient: how much less each younger chunk weighs.
        roughness: of the curve through each chunk, see :class:`ChunkCurve`.
    """

    def __init__(self, coefficient: float = 0.01, roughness: float = 0.0) -> None:
        self._coefficient = coefficient
        self._roughness = roughness
        self._curves: list[ChunkCurve] = []  # oldest observation first

    def submit(self, chunk: ActionChunk, now_ns: int) -> None:
        """Takes a chunk, and forgets those whose last action has passed."""
        self._curves = [curve for curve in self._curves if curve.chunk.end_ns >= now_ns]
        self._curves.append(ChunkCurve(chunk, self._roughness))
        self._curves.sort(key=lambda curve: curve.chunk.observation_ns)

    def reference_at(self, time_ns: int) -> Reference | None:
        last = self._last
        if last is None or time_ns > last.runs_out_ns:
            return None
        phase = eased(time_ns, last.chunk.end_ns, last.ease_ns)
        mean = self._mean(phase.path_ns)
        return mean if mean is None or phase.rate == 1.0 else mean.slowed(phase.rate, phase.slope)

    def _mean(self, time_ns: int) -> Reference | None:
        """What those that have an action for the time say together; None if none has."""
        votes = [curve.at(time_ns) for curve in self._curves if curve.covers(time_ns)]
        if not votes:
            return None
        weights = np.exp(-self._coefficient * np.arange(len(votes)))
        weights /= weights.sum()
        together = np.array(votes)  # (votes, 3, action_dim)
        return Reference(*(weights @ together.reshape(len(votes), -1)).reshape(together.shape[1:]))

    @property
    def runs_out_ns(self) -> int | None:
        """When the last action of all chunks was reached [ns]."""
        return self._last.runs_out_ns if self._last else None

    @property
    def _last(self) -> ChunkCurve | None:
        """The curve that reaches farthest."""
        return max(self._curves, key=lambda curve: curve.chunk.end_ns, default=None)

    @property
    def ruling(self) -> ActionChunk | None:
        """The newest chunk that has a vote."""
        return self._curves[-1].chunk if self._curves else None

    def reset(self) -> None:
        self._curves.clear()
