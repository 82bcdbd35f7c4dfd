"""Receding horizon: the newest chunk rules."""

from __future__ import annotations

from vla_core.action_chunk import ActionChunk
from vla_core.chunking.curve import ChunkCurve, Reference


class RecedingHorizon:
    """Follows the newest chunk from the moment it arrives, at the actions meant for then: asynchronous, nothing waits.

    ::

        chunk 1   ●──●──●──●──●──●──●──●
        chunk 2               ●──●──●──●──●──●──●──●
        followed  1──1──1──1──1──1─┤2──2──2──2──2──2        ┤ arrival of chunk 2; its first actions have passed
    """

    def __init__(self, roughness: float = 0.0) -> None:
        self._roughness = roughness
        self._curve: ChunkCurve | None = None

    def submit(self, chunk: ActionChunk, now_ns: int) -> None:
        """Takes a chunk. One that has passed, or was inferred from an older observation than the ruling one, is left aside."""
        if chunk.passed(now_ns):
            return
        if self._curve is None or chunk.observation_ns >= self._curve.chunk.observation_ns:
            self._curve = ChunkCurve(chunk, self._roughness)

    def reference_at(self, time_ns: int) -> Reference | None:
        return self._curve.eased(time_ns) if self._curve else None

    @property
    def runs_out_ns(self) -> int | None:
        """When the path of the chunk being followed comes to its end [ns]."""
        return self._curve.runs_out_ns if self._curve else None

    @property
    def ruling(self) -> ActionChunk | None:
        """The chunk being followed."""
        return self._curve.chunk if self._curve else None

    def reset(self) -> None:
        self._curve = None
