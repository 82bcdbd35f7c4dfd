"""From velocities that chunks ask for to plans that keep every limit: for a base, which has no position to be commanded to.

A chunk's curve tells velocities here, and its slope accelerations. The plan that was sent last is left at a splice time a little
ahead and goes from one velocity to the next by Ruckig's jerk-limited motions, each as long as a step, or longer where the limits
ask for it. After the last one it slows down to rest, so that silence from this side stops the base inside its limits::

    velocity   sent plan ──────┬─ ─ ─ ╲
                               ╰──●───●───●───●╲          ● what the chunk asks for, a step apart
                       now  splice              ╲____ rest

Velocities beyond the limits are made smaller together, so that the base drives the same curve more slowly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from vla_core.embodiment.limits import JointLimits
from vla_core.embodiment.schema import Motion
from vla_core.motion.bounds import LimitShare, limit_use
from vla_core.motion.plan import MotionPlan
from vla_core.motion.polynomial import Array, State
from vla_core.motion.smoother import Smoothed
from vla_core.motion.time_optimal import TimeOptimal
from vla_core.ports import ChunkScheduler

_MS = 1_000_000
_PLANNED = 0.95  # share of the allowed that is planned with: bounds are a little wider than what they bound
_STEP_NS = 50 * _MS
_STEPS = 12  # what lies farther ahead is planned when it is nearer
_AGAIN_NS = 50 * _MS  # a plan is made anew after this long: what it was made for may be known farther
_GENTLER = (
    (1.0, 1.0),
    (1.0, 0.0),
    (0.9, 0.0),
    (0.5, 0.0),
)  # shares of what is asked for: of its velocity, of its acceleration


class VelocitySmoother:
    """Makes the plans of n axes that are commanded by velocity. To be used as :class:`vla_core.motion.smoother.Smoother`.

    Args:
        limits: of the axes; their positions are ways travelled, and have none.
        motion: shares of the limits and lead of the embodiment.
        position: (n,) where the axes are, at rest [rad or m].
        now_ns: since when [ns].

    Attributes:
        speed: share of the velocities asked for; a scheduler that stretches time leaves the velocities as they are.
    """

    def __init__(self, limits: JointLimits, motion: Motion, position: Array, now_ns: int) -> None:
        self.speed = 1.0
        self._limits = limits
        self._share = LimitShare(motion.velocity_share, motion.acceleration_share, motion.jerk_share)
        planned = LimitShare(*(_PLANNED * share for share in self._share))
        self._fastest = limits.velocity * planned.velocity
        self._time_optimal = TimeOptimal(limits, planned)
        self._lead_ns = round(motion.lead_ms * _MS)
        plan = MotionPlan.at_rest(np.asarray(position, dtype=np.float64), now_ns)
        self._decided = self._before = Smoothed(plan, False, "stop", limit_use(plan, limits), now_ns)
        self._planned_for: object = None
        self._again_ns = now_ns

    @property
    def plan(self) -> MotionPlan:
        """The plan that was decided last."""
        return self._decided.plan

    def renew(self) -> None:
        """Tells that the reference has changed: the next tick looks at it."""
        self._again_ns = 0

    def go_slowly(self, slowly: bool) -> None:
        """Nothing is far from a base that stands: it begins from rest anyway."""

    def track(self, scheduler: ChunkScheduler, joints: slice, now_ns: int) -> Smoothed:
        """Decides the plan towards the velocities that the scheduler's chunks ask for; stops where they ask for nothing.

        Args:
            scheduler: answers what is meant at a time.
            joints: which of the action's dimensions are the axes.
            now_ns: the time of this tick [ns].
        """
        ruling = scheduler.ruling
        if now_ns < self._again_ns and ruling is self._planned_for:
            return self._decided
        self._planned_for = ruling
        splice_ns = now_ns + self._lead_ns
        wanted = _wanted(scheduler, joints, splice_ns, self.speed)
        if not wanted:
            return self._stopped(now_ns)
        self._again_ns = now_ns + _AGAIN_NS
        start = self.plan.state_at(splice_ns)
        return self._first_good(self._tracking(start, splice_ns, wanted), "tracking", splice_ns, now_ns)

    def withdraw(self) -> None:
        """Takes the plan that was decided last back: it was not sent. May be called once for each decision."""
        self._decided = self._before
        self.renew()

    def stop(self, now_ns: int) -> Smoothed:
        """Decides to come to rest as soon as the limits allow."""
        self._planned_for = None
        return self._stopped(now_ns)

    def _stopped(self, now_ns: int) -> Smoothed:
        self._again_ns = now_ns
        splice_ns = now_ns + self._lead_ns
        start = self.plan.state_at(splice_ns)
        if self._decided.kind == "stop" or not (start.velocity.any() or start.acceleration.any()):
            return self._decided  # a stop is planned once
        tail = self._time_optimal.to_rest(start, splice_ns)
        return self._first_good(iter([tail] if tail else []), "stop", splice_ns, now_ns)

    def _first_good(self, tails: Iterator[MotionPlan], kind: str, splice_ns: int, now_ns: int) -> Smoothed:
        """Decides for the first plan that keeps the limits; if none does, for the one that was sent: it does to its rest."""
        for tail in tails:
            plan = self.plan.spliced(splice_ns, tail, keep_from_ns=now_ns)
            use = limit_use(plan, self._limits)
            if use.within(self._share):
                found = Smoothed(plan, True, "stop" if kind == "stop" else "tracking", use, splice_ns)
                self._before, self._decided = self._decided, replace(found, changed=False)
                return found
        return self._decided

    def _tracking(self, start: State, splice_ns: int, wanted: list[State]) -> Iterator[MotionPlan]:
        for velocity_share, acceleration_share in _GENTLER:
            plan = self._through(start, splice_ns, wanted, velocity_share, acceleration_share)
            if plan is not None:
                yield plan

    def _through(
        self, start: State, splice_ns: int, wanted: list[State], velocity_share: float, acceleration_share: float
    ) -> MotionPlan | None:
        """Through the velocities one after the other, and then to rest. ``wanted`` is of times a step apart, after the splice."""
        parts: list[MotionPlan] = []
        state, time_ns = start, splice_ns
        while (index := (time_ns - splice_ns) // _STEP_NS) < len(wanted):
            velocity, acceleration = self._allowed(wanted[index])
            part = self._time_optimal.to_velocity(
                state, velocity_share * velocity, acceleration_share * acceleration, time_ns, _STEP_NS
            )
            if part is None:
                return None
            parts.append(part)
            state, time_ns = part.knot(-1), part.end_ns
        if state.velocity.any() or state.acceleration.any():
            rest = self._time_optimal.to_rest(state, time_ns)
            if rest is None:
                return None
            parts.append(rest)
        else:
            parts.append(MotionPlan.at_rest(state.position, time_ns + _STEP_NS))
        return MotionPlan(
            np.concatenate([part.times_ns for part in parts]),
            np.concatenate([part.positions for part in parts]),
            np.concatenate([part.velocities for part in parts]),
            np.concatenate([part.accelerations for part in parts]),
        )

    def _allowed(self, wanted: State) -> tuple[Array, Array]:
        """Velocity and acceleration inside of the limits, in the same direction."""
        excess = float((np.abs(wanted.position) / self._fastest).max())
        if excess <= 1.0:
            return wanted.position, wanted.velocity
        return wanted.position / excess, np.zeros_like(wanted.velocity)


def _wanted(scheduler: ChunkScheduler, joints: slice, splice_ns: int, speed: float) -> list[State]:
    """What is asked for at the ends of the steps after the splice, as far as it is known: velocities in place of positions."""
    found: list[State] = []
    for index in range(1, _STEPS + 1):
        reference = scheduler.reference_at(splice_ns + index * _STEP_NS)
        if reference is None:
            break
        found.append(State(*(speed * part[joints] for part in reference)))
    return found
