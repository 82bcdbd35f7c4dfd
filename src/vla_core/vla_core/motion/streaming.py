"""A plan, told bit by bit to a controller that wants to know at every tick where the joints are to be."""

from __future__ import annotations

import numpy as np

from vla_core.motion.plan import MotionPlan
from vla_core.motion.polynomial import State

_SAME_POSITION = 1e-6  # a plan that goes on from another one is where that one is, to rounding [rad or m]
_SAME_VELOCITY = 1e-3  # [rad/s or m/s]
_LONGEST_GAP_NS = 100_000_000
_LONGEST_GAP = 5  # periods, where those are longer


class PlanStream:
    """Where the plan is one period from now: at every tick until it is at rest, and once more then.

    Whatever it is handed, what it tells does not jump. A plan that has left the one before already is refused: the one before
    is told to its rest. After a pause in which the controller was told nothing, the rest of the motion is left out. In both
    cases a plan must begin anew, at rest, before another one is followed.

    Args:
        period_ns: from one tick to the next [ns].

    Attributes:
        problem: why plans are not followed; empty while all is well.
        told: commands so far.
    """

    def __init__(self, period_ns: int) -> None:
        self.problem = ""
        self.told = 0
        self._period_ns = period_ns
        self._gap_ns = max(_LONGEST_GAP_NS, _LONGEST_GAP * period_ns)
        self._plan: MotionPlan | None = None
        self._at_rest = True  # and has been told so
        self._told_ns = 0

    def follow(self, plan: MotionPlan, now_ns: int) -> None:
        """Goes over to a plan: one that goes on from that before, or, when that has come to rest, one that begins at rest."""
        time_ns = now_ns + self._period_ns
        begins = not plan.state_at(time_ns).velocity.any()
        if self._at_rest and begins:
            self.problem = ""
        elif not self.problem:
            self.problem = self._late(plan, time_ns)
        if not self.problem:
            self._plan = plan

    def next(self, now_ns: int) -> tuple[State, int] | None:
        """What to tell at a tick: a state (n,) and the time for which it is meant [ns]; None: nothing."""
        plan = self._plan
        if plan is None or (self._at_rest and plan.end_ns <= now_ns):
            return None
        if not self._at_rest and now_ns - self._told_ns > self._gap_ns:
            self.problem = f"it was told nothing for {(now_ns - self._told_ns) * 1e-6:.0f} ms in motion"
            self._plan, self._at_rest = None, True
            return None
        self._at_rest = plan.end_ns <= now_ns
        self._told_ns = now_ns
        self.told += 1
        time_ns = now_ns + self._period_ns
        return plan.state_at(time_ns), time_ns

    @property
    def rests(self) -> bool:
        """Whether there is nothing more to tell of what it was handed."""
        return self._plan is None or self._at_rest

    def _late(self, plan: MotionPlan, time_ns: int) -> str:
        """Why to go over to a plan would be a jump; empty if it would not."""
        if self._plan is None:
            return "the first plan came too late: it moves already"
        away = _apart(self._plan, plan, time_ns)
        return f"a plan came too late: it had left the one before, {away}" if away else ""


def _apart(old: MotionPlan, new: MotionPlan, time_ns: int) -> str:
    """By how much two plans differ at a time; empty if they do not."""
    before, after = old.state_at(time_ns), new.state_at(time_ns)
    position = float(np.abs(after.position - before.position).max())
    velocity = float(np.abs(after.velocity - before.velocity).max())
    if position <= _SAME_POSITION and velocity <= _SAME_VELOCITY:
        return ""
    return f"by {position:.2g} in position and {velocity:.2g} in velocity"
