"""From a reference to plans that keep every limit, whatever the reference does.

At each control tick the plan that was sent last is left at a splice time a little ahead, towards the reference::

    sent plan   ──────────┬─ ─ ─ ─ ─ ─ ─ rest
                          └──●────────● rest        ● state on the reference, look_ahead later; then a stop
                      now  splice

Candidates are tried from smooth to hard, and the first one that stays inside the limits all the way to its rest is taken. If
none does, the plan that was sent goes on: it was inside its limits to its rest when it was sent, so there is always one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from vla_core.chunking.curve import Reference
from vla_core.embodiment.limits import JointLimits
from vla_core.embodiment.schema import Motion
from vla_core.errors import LimitError
from vla_core.motion.bounds import LimitShare, LimitUse, limit_use
from vla_core.motion.braking import stop_duration, stopped_after
from vla_core.motion.plan import MotionPlan
from vla_core.motion.polynomial import Array, State
from vla_core.motion.time_optimal import TimeOptimal
from vla_core.ports import ChunkScheduler

_MS = 1_000_000
_LOOK_AHEADS = (1, 2, 4)  # multiples of the look-ahead: a larger one makes a correction softer
_PLANNED = 0.95  # share of the allowed that is planned with: bounds are a little wider than what they bound
_POSITION_MARGIN = 0.005  # references are kept this far from the position limits [rad or m]

Kind = Literal["tracking", "time_optimal", "stop"]
Tail = tuple[list[int], list[State]]


@dataclass(frozen=True, eq=False)
class Smoothed:
    """What a tick decided.

    plan: the motion from now on. changed: whether it differs from the one before. kind: how it came about, one of
    ``tracking``, ``time_optimal``, ``stop``. use: share of the limits it uses. splice_ns: where it leaves the one before [ns].
    """

    plan: MotionPlan
    changed: bool
    kind: Kind
    use: LimitUse = field(repr=False)
    splice_ns: int


class Smoother:
    """Makes the plans of n joints.

    Args:
        limits: of the joints.
        motion: shares of the limits, look-ahead and lead of the embodiment.
        position: (n,) where the arm stands now, at rest [rad or m].
        now_ns: since when [ns].

    Raises:
        LimitError: the arm stands outside of its position limits.
    """

    def __init__(self, limits: JointLimits, motion: Motion, position: Array, now_ns: int) -> None:
        self._limits = limits
        self._share = LimitShare(motion.velocity_share, motion.acceleration_share, motion.jerk_share)
        self._planned = LimitShare(*(_PLANNED * share for share in self._share))
        self._look_ahead_ns = round(motion.look_ahead_ms * _MS)
        self._lead_ns = round(motion.lead_ms * _MS)
        self._time_optimal = TimeOptimal(limits, self._planned)
        plan = MotionPlan.at_rest(np.asarray(position, dtype=np.float64), now_ns)
        self._newest = Smoothed(plan, False, "stop", limit_use(plan, limits), now_ns)
        self._before = self._newest
        if not self._newest.use.within(self._share):
            raise LimitError(_outside(position, limits))

    @property
    def plan(self) -> MotionPlan:
        """The plan that was decided last."""
        return self._newest.plan

    def track(self, scheduler: ChunkScheduler, joints: slice, now_ns: int) -> Smoothed:
        """Decides the plan towards what the scheduler's chunks ask for; stops where they ask for nothing.

        Args:
            scheduler: answers what is meant at a time.
            joints: which of the action's dimensions are the joints.
            now_ns: the time of this tick [ns].
        """
        self._before = self._newest
        self._newest = self._next(scheduler, joints, now_ns)
        return self._newest

    def withdraw(self) -> None:
        """Takes the plan that was decided last back: it was not sent. May be called once for each decision."""
        self._newest = self._before

    def _next(self, scheduler: ChunkScheduler, joints: slice, now_ns: int) -> Smoothed:
        splice_ns = now_ns + self._lead_ns
        current = self._newest
        if current.kind == "stop" and scheduler.reference_at(splice_ns + self._look_ahead_ns) is None:
            # a stop is planned once: planned anew at every tick from where it has come to, it would never end
            return replace(current, changed=False)
        start = current.plan.state_at(splice_ns)
        for kind, tail in self._candidates(scheduler, joints, splice_ns, start):
            plan = current.plan.spliced(splice_ns, *tail, keep_from_ns=now_ns)
            use = limit_use(plan, self._limits)
            if use.within(self._share):
                return Smoothed(plan, True, kind, use, splice_ns)
        return replace(current, changed=False)

    def stop(self, now_ns: int) -> Smoothed:
        """Decides to come to rest as soon as the limits allow."""
        return self.track(_Nothing(), slice(None), now_ns)

    def _candidates(
        self, scheduler: ChunkScheduler, joints: slice, splice_ns: int, start: State
    ) -> Iterator[tuple[Kind, Tail]]:
        for multiple in _LOOK_AHEADS:
            reach_ns = splice_ns + multiple * self._look_ahead_ns
            reference = scheduler.reference_at(reach_ns)
            if reference is None:
                break
            target = self._clamped(reference, joints)
            if (tail := self._then_stop([reach_ns], [target])) is not None:
                yield "tracking", tail
        reference = scheduler.reference_at(splice_ns + self._look_ahead_ns)
        if reference is not None:
            target = self._clamped(reference, joints)
            for reduction in (1.0, 0.5, 0.25):
                times_ns, states = self._time_optimal.towards(start, target, splice_ns, self._look_ahead_ns, reduction)
                if times_ns and (tail := self._then_stop(times_ns, states)) is not None:
                    yield "time_optimal", tail
        if start.velocity.any() or start.acceleration.any():
            if (tail := self._then_stop([], [], start, splice_ns)) is not None:
                yield "stop", tail
            times_ns, states = self._time_optimal.to_rest(start, splice_ns)
            if times_ns:
                yield "stop", (times_ns, states)

    def _then_stop(
        self, times_ns: list[int], states: list[State], start: State | None = None, start_ns: int = 0
    ) -> Tail | None:
        """Adds the stop after the last of these states (or after ``start``)."""
        last, last_ns = (states[-1], times_ns[-1]) if states else (start, start_ns)
        if last is None:
            return None
        duration = stop_duration(last, self._limits, self._planned)
        if duration is None:
            return None
        return [*times_ns, last_ns + round(duration * 1e9)], [*states, stopped_after(last, duration)]

    def _clamped(self, reference: Reference, joints: slice) -> State:
        """The reference as a state inside the position limits and the plain velocity limits."""
        low, high = self._limits.position_min + _POSITION_MARGIN, self._limits.position_max - _POSITION_MARGIN
        wanted = reference.position[joints]
        position = np.clip(wanted, low, high)
        inside = position == wanted
        limit = self._limits.velocity * self._share.velocity
        velocity = np.where(inside, np.clip(reference.velocity[joints], -limit, limit), 0.0)
        steady = inside & (np.abs(reference.velocity[joints]) <= limit)
        limit = self._limits.acceleration * self._share.acceleration
        acceleration = np.where(steady, np.clip(reference.acceleration[joints], -limit, limit), 0.0)
        return State(position, velocity, acceleration)


class _Nothing:
    """A scheduler without chunks."""

    ruling = None
    runs_out_ns = None

    def submit(self, chunk: object, now_ns: int) -> None:
        return

    def reference_at(self, time_ns: int) -> None:
        return None

    def reset(self) -> None:
        return


def _outside(position: Array, limits: JointLimits) -> str:
    low, high = limits.position_min, limits.position_max
    rows = [
        f"joint {index} at {value:.4f}, expected {low[index]:.4f} to {high[index]:.4f}"
        for index, value in enumerate(np.asarray(position))
        if not low[index] <= value <= high[index]
    ]
    return "the arm stands outside of its position limits: " + "; ".join(rows)
