"""Where the robot was commanded to be: changes begin there, and not where it has come to since their observation."""

from __future__ import annotations

from collections import deque

import numpy as np

from vla_core.motion.plan import MotionPlan
from vla_core.motion.polynomial import Array

_KEPT_NS = 2_000_000_000  # longer than an inference takes


class CommandedHistory:
    """The commanded positions of the last two seconds, and the plan that goes on from them.

    Args:
        position: (n,) where the axes stand at first.
        now_ns: since when [ns].
        period_ns: between two ticks [ns].
    """

    def __init__(self, position: Array, now_ns: int, period_ns: int) -> None:
        self._kept: deque[tuple[int, Array]] = deque([(now_ns, position)], maxlen=_KEPT_NS // period_ns + 1)

    def note(self, plan: MotionPlan, now_ns: int) -> None:
        """Takes where the executed plan is at a tick."""
        if now_ns > self._kept[-1][0]:
            self._kept.append((now_ns, plan.state_at(now_ns).position))

    def at(self, time_ns: int, plan: MotionPlan) -> Array:
        """The commanded position (n,) at a time; before what is kept: the oldest that is."""
        last_ns, last = self._kept[-1]
        if time_ns > last_ns:
            return plan.state_at(time_ns).position
        after = last_ns, last
        for before in reversed(self._kept):
            if before[0] <= time_ns:
                if before[0] == after[0]:
                    return before[1]
                share = (time_ns - before[0]) / (after[0] - before[0])
                return np.asarray((1.0 - share) * before[1] + share * after[1])
            after = before
        return after[1]
