"""What a policy may be told of the chunk that is being executed, so that the next one goes on from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vla_core.action_chunk import ActionChunk
from vla_core.errors import ChunkError
from vla_core.strategies import DEFAULT_DECAY, Decay


@dataclass(frozen=True, eq=False)
class ActionPrefix:
    """Real-time chunking: the robot goes on with a chunk while the next one is inferred, and the next one must begin with that.

    All counts are steps of the next chunk, whose first one is at its observation.

    Attributes:
        chunk: what is being executed, by its own times; it must reach from the observation on over ``delay`` steps.
        delay: so many are certain to be executed from ``chunk`` before the next one can take over.
        execution_horizon: so many are executed of each chunk; the last so many of the next one are free.
        decay: how the hold on ``chunk`` falls between what is certain and what is free: along a line, faster, not at all, or at
            once.
    """

    chunk: ActionChunk
    delay: int
    execution_horizon: int
    decay: Decay = DEFAULT_DECAY

    def __post_init__(self) -> None:
        if self.delay < 0 or self.execution_horizon < 0:
            raise ChunkError(
                "prefix: expected a delay and an execution_horizon of at least 0, "
                f"found {self.delay} and {self.execution_horizon}"
            )

    def resampled(self, start_ns: int, step_ns: int, count: int) -> NDArray[np.float64]:
        """The actions that are still to come, at other times, between two of them along a line.

        Args:
            start_ns: the first time [ns].
            step_ns: from one to the next [ns].
            count: how many are wanted.

        Returns:
            (n, action_dim) with n from ``delay`` to ``count``: fewer than ``count`` if the chunk ends before.

        Raises:
            ChunkError: the chunk begins later, or ends before ``delay`` of these times.
        """
        times = start_ns + step_ns * np.arange(count, dtype=np.int64)
        reached = times[times <= self.chunk.end_ns]
        if start_ns < self.chunk.start_ns:
            late_ms = (self.chunk.start_ns - start_ns) * 1e-6
            raise ChunkError(
                f"prefix: expected actions from the observation on, found them to begin {late_ms:.1f} ms later"
            )
        if not self.delay <= len(reached) or self.delay >= count:
            raise ChunkError(
                f"prefix: delay: expected at most the {len(reached)} steps that the executed chunk still has, and fewer than "
                f"the {count} of a chunk, found {self.delay}"
            )
        # relative to the first time, so that no nanosecond is lost in 64-bit numbers
        own, wanted = self.chunk.times_ns() - start_ns, reached - start_ns
        columns = [np.interp(wanted, own, values) for values in self.chunk.actions.T]
        return np.stack(columns, axis=-1).reshape(len(reached), self.chunk.actions.shape[1])
