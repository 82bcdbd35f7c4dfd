"""When the next chunk is asked for, what it goes on from, and with which times it is published: a strategy, at the policy."""

from __future__ import annotations

import dataclasses
from typing import Protocol

from vla_core.action_chunk import ActionChunk
from vla_core.action_prefix import ActionPrefix
from vla_core.chunking.easing import EASE_NS


class ChunkRequests(Protocol):
    """What a strategy decides where chunks are inferred. One inference is on at a time."""

    continues: bool
    """whether chunks go on from the one that is executed, which not every policy's can"""
    discarded: int
    """chunks since the start that came later than they were conditioned on"""

    def due(self, stamp_ns: int) -> bool:
        """Whether a chunk is to be inferred from an observation with this stamp [ns]."""
        ...

    def asked(self, stamp_ns: int) -> ActionPrefix | None:
        """Takes note that it is inferred from; returns what it is to go on from, if anything."""
        ...

    def answered(self, chunk: ActionChunk, now_ns: int) -> ActionChunk | None:
        """Takes the chunk when it is there; returns what is to be published, None if it came too late."""
        ...

    def interrupted(self) -> None:
        """What was published is not executed any longer: the next observation begins anew."""
        ...

    def reset(self) -> None:
        """A new run begins."""
        ...


class EveryHorizon:
    """A chunk every ``execution_horizon`` steps, inferred while the robot goes on with what it has.

    Args:
        execution_horizon: steps from one observation that is inferred from to the next.
        step_ns: of the embodiment [ns].
    """

    continues = False
    discarded = 0

    def __init__(self, execution_horizon: int, step_ns: int) -> None:
        self._interval_ns = execution_horizon * step_ns - step_ns // 2  # observations do not come to the nanosecond
        self._last_ns: int | None = None

    def due(self, stamp_ns: int) -> bool:
        return self._last_ns is None or stamp_ns - self._last_ns >= self._interval_ns

    def asked(self, stamp_ns: int) -> None:
        self._last_ns = stamp_ns

    def answered(self, chunk: ActionChunk, now_ns: int) -> ActionChunk:
        return chunk

    def interrupted(self) -> None:
        self._last_ns = None

    def reset(self) -> None:
        self.interrupted()


class WaitedFor:
    """Synchronous: a chunk is inferred from what is seen when the one before was executed, and begins when it is there.

    The robot stands meanwhile, so the first action is the right one then, however long it took. What is published is cut to the
    actions that are to be executed.

    Args:
        execution_horizon: actions executed of each chunk.
    """

    continues = False
    discarded = 0

    def __init__(self, execution_horizon: int) -> None:
        self._execution_horizon = execution_horizon
        self._executed_ns: int | None = None  # when the arm has come to rest behind the last chunk

    def due(self, stamp_ns: int) -> bool:
        return self._executed_ns is None or stamp_ns >= self._executed_ns

    def asked(self, stamp_ns: int) -> None:
        return

    def answered(self, chunk: ActionChunk, now_ns: int) -> ActionChunk:
        published = dataclasses.replace(chunk, start_ns=now_ns, actions=chunk.actions[: self._execution_horizon])
        self._executed_ns = published.end_ns + EASE_NS
        return published

    def interrupted(self) -> None:
        self._executed_ns = None

    def reset(self) -> None:
        self.interrupted()
