"""A chunk as a smooth curve over absolute time."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline

from vla_core.action_chunk import ActionChunk
from vla_core.chunking.easing import EASE_NS, eased
from vla_core.motion.polynomial import Array


class Reference(NamedTuple):
    """A point of the path that the chunks ask for; every array is (action_dim,) [unit of the action, s]."""

    position: Array
    velocity: Array
    acceleration: Array

    def slowed(self, rate: float, slope: float) -> Reference:
        """The same point, passed at ``rate`` times the speed, while that changes by ``slope`` [1/s]."""
        return Reference(self.position, rate * self.velocity, rate**2 * self.acceleration + slope * self.velocity)


class ChunkCurve:
    """The cubic spline through the actions of a chunk, after their noise was taken out.

    A policy's actions scatter by some milliradians from one to the next; followed exactly, at 30 Hz, that alone would use up
    the acceleration limit. The Whittaker smoother moves the actions to where the sum of squared moves plus ``roughness``
    times the sum of squared third differences is least; it has no lag and keeps a constant acceleration as it is.

    An action is meant for a step. Where no other chunk follows, the curve is :meth:`eased` to rest at the last one: it slows
    down along itself before it runs out, instead of breaking off at speed.

    Args:
        chunk: (action_horizon, action_dim) actions with their times.
        roughness: how strongly noise is taken out; 0 passes through every action.

    Attributes:
        ease_ns: how much of the curve is slowed down where nothing follows [ns].
        runs_out_ns: when the last action was reached at rest, and held for what is left of its step [ns].

    Source of the smoother: P. H. C. Eilers, "A Perfect Smoother", Analytical Chemistry 75 (2003).
    """

    def __init__(self, chunk: ActionChunk, roughness: float) -> None:
        self.chunk = chunk
        self.ease_ns = min(EASE_NS, chunk.end_ns - chunk.start_ns)
        self.runs_out_ns = chunk.end_ns + max(self.ease_ns, chunk.step_ns)
        actions = chunk.actions
        self._pieces: Array | None = None
        if len(actions) == 1:
            return
        if roughness > 0.0 and len(actions) > 3:
            actions = _smoother(len(actions), roughness) @ actions
        seconds = np.arange(len(actions)) * (chunk.step_ns * 1e-9)
        # (pieces, 4, action_dim), highest power first; evaluated here, because scipy's own way takes five times as long
        self._pieces = np.ascontiguousarray(CubicSpline(seconds, actions, bc_type="natural").c.transpose(1, 0, 2))

    def covers(self, time_ns: int) -> bool:
        """Whether the chunk has an action at or on both sides of the time."""
        return self.chunk.start_ns <= time_ns <= self.chunk.end_ns

    def at(self, time_ns: int) -> Reference:
        """Position, velocity and acceleration at a time that the chunk covers."""
        if self._pieces is None:
            still = np.zeros_like(self.chunk.actions[0])
            return Reference(self.chunk.actions[0].copy(), still, still)
        piece = min(max((time_ns - self.chunk.start_ns) // self.chunk.step_ns, 0), len(self._pieces) - 1)
        t = (time_ns - self.chunk.start_ns - piece * self.chunk.step_ns) * 1e-9
        powers = np.array([[t**3, t**2, t, 1.0], [3.0 * t**2, 2.0 * t, 1.0, 0.0], [6.0 * t, 2.0, 0.0, 0.0]])
        return Reference(*(powers @ self._pieces[piece]))

    def eased(self, time_ns: int) -> Reference | None:
        """The same for a curve that nothing follows, up to when it runs out; None outside."""
        if not self.chunk.start_ns <= time_ns <= self.runs_out_ns:
            return None
        phase = eased(time_ns, self.chunk.end_ns, self.ease_ns)
        reference = self.at(phase.path_ns)
        return reference if phase.rate == 1.0 else reference.slowed(phase.rate, phase.slope)


@functools.lru_cache(maxsize=16)
def _smoother(count: int, roughness: float) -> Array:
    """(count, count) matrix of the Whittaker smoother with third differences."""
    differences = np.diff(np.eye(count), n=3, axis=0)
    return np.asarray(np.linalg.inv(np.eye(count) + roughness * differences.T @ differences))
