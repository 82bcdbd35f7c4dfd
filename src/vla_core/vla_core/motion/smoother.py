"""From what chunks ask for to plans that keep every limit, whatever that is.

When the reference has changed, the plan that was sent last is left at a splice time a little ahead, and the new one goes over
into the path that the chunks ask for now, follows it with the path's own velocity and acceleration, and slows down along it, so
that it rests where the path ends::

    sent plan   ──────────┬─ ─ ─ ─ ─ ─ ─ ─ ─ ─ rest
                          └──╮
    reference   ●──●──●──●──●──●──●──●──●──●     ● where chunks are known
                      now  splice │        └─ slows down from here on; a chunk that comes in time replaces this part
                                  └ on the path after the look-ahead

Between two changes there is nothing to decide: the plan reaches to the end of what is known. Candidates are tried from close to
loose, and the first one that stays inside the limits all the way to its rest is taken. If none does, the plan that was sent goes
on: it was inside its limits to its rest when it was sent, so there is always one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import ceil, sqrt
from typing import Literal

import numpy as np

from vla_core.embodiment.limits import JointLimits
from vla_core.embodiment.schema import Motion
from vla_core.errors import LimitError
from vla_core.motion import blend
from vla_core.motion.bounds import LimitShare, LimitUse, limit_use
from vla_core.motion.braking import stop_duration, stopped_after
from vla_core.motion.path import Path, along, path_from
from vla_core.motion.plan import MotionPlan
from vla_core.motion.polynomial import Array, State
from vla_core.motion.region import Region
from vla_core.motion.room import Room
from vla_core.motion.time_optimal import TimeOptimal
from vla_core.ports import ChunkScheduler

_MS = 1_000_000
_PLANNED = 0.95  # share of the allowed that is planned with: bounds are a little wider than what they bound
_AGAIN_NS = 50 * _MS  # when what is asked for cannot be done, it is looked at again after this long
_GOAL_NS = 200 * _MS  # where nothing can be followed, the arm goes to where the path is this much later

# how often the noise of the path is taken out (roughness), over how many look-aheads the path is reached, and how many times
# longer than needed the slow-down is
_TRIES = (
    (0.0, 1, 1),
    (0.0, 2, 1),
    (0.0, 2, 2),
    (0.0, 4, 2),
    (1.0, 4, 2),
    (0.0, 4, 4),
    (30.0, 8, 2),
    (0.0, 8, 4),
    (0.0, 16, 4),
)
_STOP_STEPS = (1, 2, 4)  # half as long as the stops along the plan are, in steps of a path
_REDUCTIONS = (1.0, 0.5, 0.25)  # of the velocity

Kind = Literal["tracking", "time_optimal", "stop"]


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
        region: where the arm may be beside its position limits; None: anywhere.

    Raises:
        LimitError: the arm stands outside of its position limits.
    """

    def __init__(
        self, limits: JointLimits, motion: Motion, position: Array, now_ns: int, region: Region | None = None
    ) -> None:
        self._limits = limits
        share = LimitShare(motion.velocity_share, motion.acceleration_share, motion.jerk_share)
        self._gears = {
            False: _Gear(limits, share),
            True: _Gear(limits, share._replace(velocity=min(share.velocity, motion.approach_share))),
        }
        self._gear = self._gears[False]
        self._slowly = False
        self._look_ahead_ns = round(motion.look_ahead_ms * _MS)
        self._lead_ns = round(motion.lead_ms * _MS)
        self._room = Room.within(limits, region)
        plan = MotionPlan.at_rest(np.asarray(position, dtype=np.float64), now_ns)
        self._decided = self._before = Smoothed(plan, False, "stop", limit_use(plan, limits), now_ns)
        self._planned_for: object = None  # the ruling chunk when it was decided
        self._again_ns = now_ns  # when to look again although nothing has changed
        if not self._decided.use.within(self._gear.share):
            raise LimitError(_outside(position, limits))

    @property
    def plan(self) -> MotionPlan:
        """The plan that was decided last."""
        return self._decided.plan

    def renew(self) -> None:
        """Tells that the reference has changed: the next tick looks at it."""
        self._again_ns = 0

    def go_slowly(self, slowly: bool) -> None:
        """Plans with the velocity of an approach from now on, or again with all that motion may use."""
        if self._slowly is not slowly:
            self._slowly = slowly
            self.renew()

    def track(self, scheduler: ChunkScheduler, joints: slice, now_ns: int) -> Smoothed:
        """Decides the plan towards what the scheduler's chunks ask for; stops where they ask for nothing.

        Args:
            scheduler: answers what is meant at a time.
            joints: which of the action's dimensions are the joints.
            now_ns: the time of this tick [ns].
        """
        ruling = scheduler.ruling
        if now_ns < self._again_ns and ruling is self._planned_for:
            return self._decided
        self._planned_for = ruling
        found = self._next(scheduler, joints, now_ns)
        if not found.changed:
            return found
        self._before, self._decided = self._decided, replace(found, changed=False)
        return found

    def withdraw(self) -> None:
        """Takes the plan that was decided last back: it was not sent. May be called once for each decision."""
        self._decided = self._before
        self.renew()

    def stop(self, now_ns: int) -> Smoothed:
        """Decides to come to rest as soon as the limits allow."""
        return self.track(_Nothing(), slice(None), now_ns)

    def _next(self, scheduler: ChunkScheduler, joints: slice, now_ns: int) -> Smoothed:
        splice_ns = now_ns + self._lead_ns
        current = self._decided
        start = current.plan.state_at(splice_ns)
        path = path_from(scheduler, joints, splice_ns, self._room)
        if self._slowly and self._faster_than_an_approach(start):
            path = None  # at first it slows down
        self._gear = self._gears[self._slowly and path is not None]
        self._again_ns = now_ns if path is None else now_ns + _AGAIN_NS
        if path is None and current.kind == "stop":
            # a stop is planned once: planned anew at every tick from where it has come to, it would never end
            return current
        for kind, tail in self._candidates(path, splice_ns, start):
            plan = current.plan.spliced(splice_ns, tail, keep_from_ns=now_ns)
            use = limit_use(plan, self._limits)
            if use.within(self._gear.share) and self._room.keeps(plan):
                if path is not None and kind == "tracking":
                    self._again_ns = plan.end_ns - self._lead_ns
                    if path.capped:  # before it slows down
                        whole = path.count - path.slow_down_steps(self._limits, self._gear.share) - 1
                        self._again_ns = now_ns + max(1, whole) * path.step_ns
                return Smoothed(plan, True, kind, use, splice_ns)
        return current

    def _faster_than_an_approach(self, start: State) -> bool:
        return bool((np.abs(start.velocity) > self._gears[True].share.velocity * self._limits.velocity).any())

    def _candidates(self, path: Path | None, splice_ns: int, start: State) -> Iterator[tuple[Kind, MotionPlan]]:
        if path is not None:
            half = path.slow_down_steps(self._limits, self._gear.share)
            for roughness, length, slower in self._tries(path, start, half == 0):
                yield "tracking", self._tail(path, start, roughness, length, slower * half)
            goal = path.samples.position[min(path.count, _GOAL_NS // path.step_ns)]
            for reduction in _REDUCTIONS:
                if (tail := self._gear.time_optimal.towards(start, goal, splice_ns, reduction)) is not None:
                    yield "time_optimal", tail
        if self._decided.kind != "stop" and (start.velocity.any() or start.acceleration.any()):
            if (duration := stop_duration(start, self._limits, self._gear.planned)) is not None:
                rest = stopped_after(start, duration)
                yield "stop", MotionPlan.through([splice_ns + round(duration * 1e9)], [rest])
            for half in _STOP_STEPS:
                yield "stop", along(self._decided.plan, splice_ns, half)
            if (tail := self._gear.time_optimal.to_rest(start, splice_ns)) is not None:
                yield "stop", tail

    def _tries(self, path: Path, start: State, rests: bool) -> Iterator[tuple[float, int, int]]:
        """What is worth trying for a path: not what the acceleration alone rules out, and nothing twice.

        Yields:
            Roughness, steps until the path is reached, and how many times longer than needed the slow-down is.
        """
        shortest = self._shortest_s(path, start) * 1e9 / path.step_ns
        tried = None
        for roughness, look_aheads, slower in _TRIES:
            length = ceil(look_aheads * self._look_ahead_ns / path.step_ns)
            too_hard = length < shortest and look_aheads < _TRIES[-1][1]
            if too_hard or (rests and (roughness, length) == tried):
                continue
            tried = (roughness, length)
            yield roughness, length, slower

    def _shortest_s(self, path: Path, start: State) -> float:
        """The shortest time in which the path can be reached, by the acceleration alone [s]: shorter ones need not be tried.

        A quintic that takes a distance d away in T has an acceleration of 5.8 d / T^2 at its peak; a velocity v, 3.9 v / T.
        """
        limit = self._limits.acceleration * self._gear.share.acceleration
        moving = path.samples.velocity[0] if path.count else 0.0
        distance = float((np.abs(start.position - path.samples.position[0]) / limit).max())
        velocity = float((np.abs(start.velocity - moving) / limit).max())
        return max(sqrt(5.77 * distance), 3.9 * velocity)

    def _tail(self, path: Path, start: State, roughness: float, length: int, half: int) -> MotionPlan:
        """Knots after the splice: the path to its rest, plus a deviation that goes from what it is now to zero."""
        step_s = path.step_ns * 1e-9
        origin = State(*(part[0] for part in path.samples)) if path.count else State.at_rest(path.samples.position[0])
        states = path.to_rest(half)
        if roughness > 0.0 and path.count:
            states, origin = blend.smoothed(states, origin, step_s, roughness)
        steps = list(range(1, len(states.position) + 1))
        if length > len(steps):
            rest = State.at_rest(states.position[-1] if steps else origin.position)
            states = State(*(np.concatenate([part, end[None]]) for part, end in zip(states, rest, strict=True)))
            steps.append(length)
        away = blend.deviation(start, origin, step_s, length, [min(step, length) for step in steps])
        times_ns = path.start_ns + path.step_ns * np.array(steps, dtype=np.int64)
        return MotionPlan(times_ns, *(part + more for part, more in zip(states, away, strict=True)))


class _Gear:
    """Shares of the limits: what a plan may use, and what it is planned with."""

    def __init__(self, limits: JointLimits, share: LimitShare) -> None:
        self.share = share
        self.planned = LimitShare(*(_PLANNED * part for part in share))
        self.time_optimal = TimeOptimal(limits, self.planned)


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
