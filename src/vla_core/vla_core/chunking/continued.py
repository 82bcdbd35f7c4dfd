"""Real-time chunking, the side of the policy: each chunk is asked to go on from what is executed until it is there."""

from __future__ import annotations

import dataclasses

import numpy as np

from vla_core.action_chunk import ActionChunk
from vla_core.action_prefix import ActionPrefix
from vla_core.chunking.delay import DelayEstimate
from vla_core.strategies import DEFAULT_DECAY, Decay


class Continued:
    """Asks for chunks that go on from the one that is executed, and discards one that came later than it was asked for.

    The delay that a chunk is conditioned on is the longest of the last ones, and the lead of the plans that the robot has been
    sent by then and follows in any case, in whole steps of the policy. Where that is more than is left of the executed chunk,
    but the newest delay was less, it is what is left: one slow inference does not cost ten chunks their prefix. A chunk is asked
    for every ``execution_horizon`` steps, or, where inference takes longer, as soon as the last one is there: that takes over a
    lead later, but what is executed from then on is known. Where what is executed ends before the next chunk can take over, and
    at the beginning, a chunk is conditioned on nothing.
    Source: arXiv 2506.07339, algorithm 1.

    Args:
        execution_horizon: least number of steps from one observation that is inferred from to the next.
        step_ns: of the embodiment [ns].
        lead_ns: how far ahead of a chunk's arrival motion is settled [ns].
        decay: see :class:`ActionPrefix`.
    """

    continues = True

    def __init__(self, execution_horizon: int, step_ns: int, lead_ns: int = 0, decay: Decay = DEFAULT_DECAY) -> None:
        self.discarded = 0
        self.estimate = DelayEstimate()
        self._execution_horizon = execution_horizon
        self._step_ns = step_ns
        self._lead_ns = lead_ns
        self._decay: Decay = decay
        self.reset()

    def reset(self) -> None:
        """A new run begins; how long the policy takes is known from the one before."""
        self.discarded = 0
        self.interrupted()

    def interrupted(self) -> None:
        self._executed: ActionChunk | None = None  # from the last observation on, as far as is known here
        self._action_horizon = 0
        self._asked_ns: int | None = None
        self._prefix: ActionPrefix | None = None

    def due(self, stamp_ns: int) -> bool:
        if self._asked_ns is None:
            return True
        return stamp_ns - self._asked_ns >= self._execution_horizon * self._step_ns - self._step_ns // 2

    def asked(self, stamp_ns: int) -> ActionPrefix | None:
        self._asked_ns = stamp_ns
        self._prefix = self._prefix_at(stamp_ns)
        return self._prefix

    def _prefix_at(self, stamp_ns: int) -> ActionPrefix | None:
        executed = self._executed
        if executed is None or not executed.start_ns <= stamp_ns <= executed.end_ns:
            return None
        left = (executed.end_ns - stamp_ns) // executed.step_ns + 1
        longest, newest = (
            -(-(delay_ns + self._lead_ns) // executed.step_ns)
            for delay_ns in (self.estimate.longest_ns(), self.estimate.newest_ns())
        )
        delay = min(longest, left, self._action_horizon - 1)
        if delay < newest:
            return None
        free = min(max(self._execution_horizon, delay), self._action_horizon - delay)
        return ActionPrefix(executed, delay, free, self._decay)

    def answered(self, chunk: ActionChunk, now_ns: int) -> ActionChunk | None:
        self.estimate.measured(now_ns - chunk.observation_ns)
        self._action_horizon = len(chunk.actions)
        if self._prefix is None:
            self._executed = _taken_over(self._executed, chunk, now_ns)
            return chunk
        takes_over_ns = chunk.start_ns + self._prefix.delay * chunk.step_ns
        if now_ns > takes_over_ns:
            self.discarded += 1
            return None
        self._executed = _taken_over(self._executed, chunk, takes_over_ns)
        return dataclasses.replace(chunk, actions=chunk.actions[self._prefix.delay :], start_ns=takes_over_ns)


def _taken_over(before: ActionChunk | None, chunk: ActionChunk, takes_over_ns: int) -> ActionChunk:
    """What is executed if a chunk takes over at a time, at the chunk's own times."""
    times = chunk.times_ns()
    if before is None or before.start_ns > chunk.start_ns:
        return chunk
    earlier = (times < takes_over_ns) & (times <= before.end_ns)
    # relative to the first time, so that no nanosecond is lost in 64-bit numbers
    own, wanted = before.times_ns() - chunk.start_ns, times[earlier] - chunk.start_ns
    actions = np.array(chunk.actions, dtype=np.float64)
    actions[earlier] = np.stack([np.interp(wanted, own, values) for values in before.actions.T], axis=-1)
    return dataclasses.replace(chunk, actions=actions)
