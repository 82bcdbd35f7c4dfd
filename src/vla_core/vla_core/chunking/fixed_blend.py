"""Fixed blends: where two chunks overlap, always the same share of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from vla_core.action_chunk import ActionChunk
from vla_core.chunking.curve import ChunkCurve, Reference
from vla_core.chunking.receding_horizon import RecedingHorizon

SHARES: Mapping[str, float] = MappingProxyType(
    {"latest_only": 1.0, "weighted_average": 0.7, "average": 0.5, "conservative": 0.3}
)
"""Share of the newer chunk in each blend of LeRobot (huggingface/lerobot, async_inference/configs.py)."""


class FixedBlend:
    """Adds a share of each new chunk to what was meant at the same times; where nothing was meant, the new chunk rules alone.

    ::

        meant so far   ●──●──●──●──●──●
        chunk                   ○──○──○──○──○──○
        meant then              ◐──◐──◐──○──○──○       ◐ = (1 - share) ● + share ○

    What was meant so far is a blend already, so that the k-th chunk before has (1 - share)^k of its weight left. Actions are
    matched by their times; the reference implementation counts steps.

    Args:
        share: of the newer chunk, from 0 (never) to 1 (it rules alone).
        roughness: of the curve through the blend, see :class:`ChunkCurve`.
    """

    def __init__(self, share: float, roughness: float = 0.0) -> None:
        self._share = share
        self._meant = RecedingHorizon(roughness)
        self._blended: ChunkCurve | None = (
            None  # through the blended actions themselves, so that noise is taken out once
        )

    def submit(self, chunk: ActionChunk, now_ns: int) -> None:
        """Takes a chunk. One that has passed, or was inferred from an older observation than the one before, is left aside."""
        before = self._meant.ruling
        if chunk.passed(now_ns):
            return
        if before is not None and chunk.observation_ns < before.observation_ns:
            return
        blended = self._with_what_was_meant(chunk)
        self._blended = ChunkCurve(blended, 0.0)
        self._meant.submit(blended, now_ns)

    def _with_what_was_meant(self, chunk: ActionChunk) -> ActionChunk:
        if self._blended is None or self._share == 1.0:
            return chunk
        actions = np.array(chunk.actions, dtype=np.float64)
        for index, time_ns in enumerate(chunk.times_ns().tolist()):
            if self._blended.covers(time_ns):
                meant = self._blended.at(time_ns).position
                actions[index] = (1.0 - self._share) * meant + self._share * actions[index]
        return dataclasses.replace(chunk, actions=actions)

    def reference_at(self, time_ns: int) -> Reference | None:
        return self._meant.reference_at(time_ns)

    @property
    def runs_out_ns(self) -> int | None:
        """When the newest chunk's path comes to its end [ns]."""
        return self._meant.runs_out_ns

    @property
    def ruling(self) -> ActionChunk | None:
        """The newest chunk, with what was blended into it."""
        return self._meant.ruling

    def reset(self) -> None:
        self._meant.reset()
        self._blended = None
