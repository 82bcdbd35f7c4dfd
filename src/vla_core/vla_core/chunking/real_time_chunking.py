"""Real-time chunking, the side of the robot: each chunk takes over at the time for which it was made to."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from vla_core.action_chunk import ActionChunk
from vla_core.chunking.curve import ChunkCurve, Reference
from vla_core.errors import ChunkDiscarded

_JOINED = 4  # as many points of what was executed go before a chunk's actions, so that its curve goes on from there


@dataclass(frozen=True, eq=False)
class _Span:
    """A curve, and from when on it is followed [ns]."""

    since_ns: int
    curve: ChunkCurve


class RealTimeChunking:
    """Follows each chunk from the time on that it was conditioned for, and refuses one that comes later than that.

    ::

        observation            takes over
            │◀──── delay ────▶│
        1   ●──●──●──●──●──●──●╌╌●╌╌●          executed while chunk 2 is inferred
        2   ┄  ┄  ┄  ┄  ┄  ┄  ┄●──●──●──●──●      ┄ conditioned on chunk 1, and not sent
                            ╰── arrives before it takes over, or is discarded

    A chunk that begins later than its observation was conditioned on what is executed until then; it carries that delay as
    ``start_ns - observation_ns``. One that begins at its observation was conditioned on nothing and is followed at once. How the
    policy was led to go on, by guidance or by a trained prefix, makes no difference here.
    Source: arXiv 2506.07339, algorithm 1, by time instead of by step.

    Args:
        roughness: of the curve through each chunk, see :class:`ChunkCurve`.
    """

    def __init__(self, roughness: float = 0.0) -> None:
        self._roughness = roughness
        self._spans: list[_Span] = []  # in the order in which they are followed

    def submit(self, chunk: ActionChunk, now_ns: int) -> None:
        """Takes a chunk. One that has passed, or was inferred from an older observation than the newest, is left aside.

        Raises:
            ChunkDiscarded: it came later than it was conditioned on.
        """
        newest = self.ruling
        if newest is not None and chunk.observation_ns < newest.observation_ns:
            return
        conditioned = chunk.start_ns > chunk.observation_ns
        if conditioned and now_ns > chunk.start_ns:
            raise ChunkDiscarded(
                f"chunk {chunk.sequence}: expected within {(chunk.start_ns - chunk.observation_ns) * 1e-6:.0f} ms of its "
                f"observation, the delay that it was conditioned on, found it {(now_ns - chunk.start_ns) * 1e-6:.0f} ms "
                "later; discarded"
            )
        if chunk.passed(now_ns):
            return
        joined = self._joined(chunk) if conditioned else chunk
        # between the last action that is executed before the chunk and its own first one, the way is the chunk's already
        since_ns = max(chunk.start_ns - (chunk.step_ns if joined is not chunk else 0), now_ns)
        curve = ChunkCurve(joined, self._roughness)
        kept = [span for span in self._spans if span.since_ns < since_ns]
        self._spans = [*kept[self._index_at(kept, now_ns) :], _Span(since_ns, curve)]

    def _joined(self, chunk: ActionChunk) -> ActionChunk:
        """The chunk behind the last points of what is executed before it."""
        points = []
        for back in range(1, _JOINED + 1):
            reference = self.reference_at(chunk.start_ns - back * chunk.step_ns)
            if reference is None:
                break
            points.append(reference.position)
        if not points:
            return chunk
        return dataclasses.replace(
            chunk,
            actions=np.concatenate([points[::-1], chunk.actions]),
            start_ns=chunk.start_ns - len(points) * chunk.step_ns,
        )

    def reference_at(self, time_ns: int) -> Reference | None:
        if not self._spans:
            return None
        return self._spans[self._index_at(self._spans, time_ns)].curve.eased(time_ns)

    @staticmethod
    def _index_at(spans: list[_Span], time_ns: int) -> int:
        """Which of them is followed at a time; the first one before all of them."""
        return max((index for index, span in enumerate(spans) if span.since_ns <= time_ns), default=0)

    @property
    def runs_out_ns(self) -> int | None:
        """When the newest chunk's path comes to its end [ns]."""
        return self._spans[-1].curve.runs_out_ns if self._spans else None

    @property
    def ruling(self) -> ActionChunk | None:
        """The newest chunk, followed already or about to be."""
        return self._spans[-1].curve.chunk if self._spans else None

    def reset(self) -> None:
        self._spans.clear()
