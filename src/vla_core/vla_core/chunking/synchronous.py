"""Synchronous receding horizon: the robot waits for each chunk."""

from __future__ import annotations

from vla_core.action_chunk import ActionChunk
from vla_core.chunking.curve import Reference
from vla_core.chunking.receding_horizon import RecedingHorizon

LONGEST_WAIT_NS = 2_000_000_000


class Synchronous:
    """Executes a chunk to its end, comes to rest there, and holds while the next one is inferred.

    ::

        chunk 1   ●──●──●──●╌╌rest        chunk 2   ●──●──●──●╌╌rest
        policy                observes · infers                   observes · infers

    What makes it synchronous is when chunks are asked for and what they say of their time, see
    :class:`vla_core.chunking.requests.WaitedFor`; here the wait is no starvation, unless it becomes too long.

    Args:
        roughness: of the curve through each chunk, see :class:`vla_core.chunking.ChunkCurve`.
        longest_wait_ns: after so long at rest nothing is meant any more [ns].
    """

    def __init__(self, roughness: float = 0.0, longest_wait_ns: int = LONGEST_WAIT_NS) -> None:
        self._followed = RecedingHorizon(roughness)
        self._longest_wait_ns = longest_wait_ns

    def submit(self, chunk: ActionChunk, now_ns: int) -> None:
        self._followed.submit(chunk, now_ns)

    def reference_at(self, time_ns: int) -> Reference | None:
        rest_ns = self._followed.runs_out_ns
        if rest_ns is None or time_ns > rest_ns + self._longest_wait_ns:
            return None
        return self._followed.reference_at(min(time_ns, rest_ns))

    @property
    def runs_out_ns(self) -> int | None:
        """When the chunk has been executed [ns]; what follows is the wait."""
        return self._followed.runs_out_ns

    @property
    def ruling(self) -> ActionChunk | None:
        """The chunk being followed, or waited behind."""
        return self._followed.ruling

    def reset(self) -> None:
        self._followed.reset()
