"""The path that chunks ask for, from a time on: sampled, ended where it may not go on, and slowed down to rest at its end."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import numpy as np

from vla_core.embodiment.limits import JointLimits
from vla_core.motion.bounds import LimitShare
from vla_core.motion.plan import MotionPlan
from vla_core.motion.polynomial import State
from vla_core.motion.room import Room
from vla_core.ports import ChunkScheduler

GRID_NS = 60_000_000  # samples are at most this far apart
_RESTS = 1e-9  # slower than this is rest [rad/s or m/s]
_MOST = 12  # steps of a path: what lies farther ahead is planned when it is nearer


@dataclass(frozen=True, eq=False)
class Path:
    """Samples of the reference.

    Attributes:
        start_ns: time of the first sample [ns].
        step_ns: time between samples [ns].
        samples: position, velocity, acceleration (count + 1, n).
        capped: there was more, which was not looked at.
        reference_at: the reference's joints at a time that lies inside the path.
    """

    start_ns: int
    step_ns: int
    samples: State
    capped: bool
    reference_at: Callable[[int], State]

    @property
    def count(self) -> int:
        """Steps."""
        return len(self.samples.position) - 1

    def slow_down_steps(self, limits: JointLimits, share: LimitShare) -> int:
        """Half the steps that it takes to come to rest at the end inside the limits of acceleration and jerk.

        A slow-down over T takes 1.5 v / T of acceleration and 6 v / T^2 of jerk; the path's own come on top of that.
        0 steps for a path that comes to rest by itself.
        """
        if np.abs(self.samples.velocity[-1]).max() < _RESTS:
            return 0
        fastest = np.abs(self.samples.velocity[-4:]).max(axis=0)
        by_acceleration = float((1.5 * fastest / (0.8 * share.acceleration * limits.acceleration)).max())
        by_jerk = float(np.sqrt(6.0 * fastest / (0.8 * share.jerk * limits.jerk)).max())
        return max(1, ceil(max(by_acceleration, by_jerk) * 1e9 / (2 * self.step_ns)))

    def to_rest(self, half: int) -> State:
        """States (k, n) at the steps after the first, slowed down along the path over the last ``2 half`` of them.

        The share of the path's own speed falls from 1 to 0 as ``1 - 3 u^2 + 2 u^3``; that covers half as much of the path as
        full speed would in the same time, so that the arm rests ``half`` steps later exactly where the path ends.
        """
        half = min(half, self.count)
        if half == 0:
            states = State(*(part[1:].copy() for part in self.samples))
            states.velocity[-1:] = states.acceleration[-1:] = 0.0
            return states
        u = np.arange(1, 2 * half + 1) / (2.0 * half)
        path_steps = (self.count - half) + 2.0 * half * (u - u**3 + 0.5 * u**4)
        speed = (1.0 - 3.0 * u**2 + 2.0 * u**3)[:, None]
        slowing = ((6.0 * u**2 - 6.0 * u) / (2.0 * half * self.step_ns * 1e-9))[:, None]
        times_ns = self.start_ns + np.rint(path_steps[:-1] * self.step_ns).astype(np.int64)
        found = [self.reference_at(int(time_ns)) for time_ns in times_ns]
        last = State(*(part[-1] for part in self.samples))
        position, velocity, acceleration = (np.array(part) for part in zip(*found, last, strict=True))
        whole = slice(1, self.count - half + 1)
        return State(
            np.concatenate([self.samples.position[whole], position]),
            np.concatenate([self.samples.velocity[whole], velocity * speed]),
            np.concatenate([self.samples.acceleration[whole], acceleration * speed**2 + velocity * slowing]),
        )


def path_from(scheduler: ChunkScheduler, joints: slice, start_ns: int, room: Room) -> Path | None:
    """The path from a time on, as far as it is admissible; None where nothing admissible is asked for.

    Args:
        scheduler: answers what is meant at a time.
        joints: which of the action's dimensions are the joints.
        start_ns: when the path begins [ns].
        room: where the joints may be.
    """
    runs_out_ns = scheduler.runs_out_ns
    if runs_out_ns is None or runs_out_ns < start_ns:
        return None

    left_ns = runs_out_ns - start_ns
    span_ns = min(left_ns, _MOST * GRID_NS)
    count = ceil(span_ns / GRID_NS) if span_ns > GRID_NS // 2 else 0
    step_ns = span_ns // count if count else GRID_NS
    found = []
    for index in range(count + 1):
        reference = scheduler.reference_at(start_ns + index * step_ns)
        if reference is None:
            break
        found.append(reference)
    if not found:
        return None
    samples = np.array(found)[:, :, joints]  # (k, 3, n)
    path = State(samples[:, 0], samples[:, 1], samples[:, 2])
    with np.errstate(invalid="ignore", over="ignore"):
        good = room.admits(path)
    usable = int(good.argmin()) if not good.all() else len(good)
    if usable == 0:
        return None
    capped = usable == count + 1 and span_ns < left_ns
    kept = room.held(State(*(part[:usable] for part in path)))
    return Path(start_ns, step_ns, kept, capped, functools.partial(_reference_at, scheduler, joints, room))


def _reference_at(scheduler: ChunkScheduler, joints: slice, room: Room, time_ns: int) -> State:
    reference = scheduler.reference_at(time_ns)
    assert reference is not None, "a path lies where the reference is"
    return room.held(State(*(part[joints] for part in reference)))


def along(plan: MotionPlan, start_ns: int, half: int) -> MotionPlan:
    """Knots that stop along a plan: from a time on, over ``2 half`` steps, to rest where it is ``half`` steps later."""
    states = [plan.state_at(start_ns + index * GRID_NS) for index in range(half + 1)]
    samples = State(*(np.array(part) for part in zip(*states, strict=True)))
    stop = Path(start_ns, GRID_NS, samples, False, plan.state_at).to_rest(half)
    return MotionPlan(start_ns + GRID_NS * np.arange(1, 2 * half + 1, dtype=np.int64), *stop)
