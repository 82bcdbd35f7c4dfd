"""Coming to rest."""

from __future__ import annotations

import numpy as np

from vla_core.embodiment.limits import JointLimits
from vla_core.motion.bounds import LimitShare
from vla_core.motion.polynomial import Array, State

_SHORTEST_S = 0.02
_LONGEST_S = 3.0
_DURATIONS = np.geomspace(_SHORTEST_S, _LONGEST_S, 48)


def stop_duration(state: State, limits: JointLimits, share: LimitShare) -> float | None:
    """Shortest time in which all joints can come to rest together on a smooth velocity curve.

    The velocity is the cubic with the given velocity and acceleration now, and none at the end: with u = t / T,
    ``v = v0 (1 - 3u^2 + 2u^3) + a0 T (u - 2u^2 + u^3)``. Durations are tried in steps of 11 %.

    Args:
        state: velocity and acceleration (n,) to stop from.
        limits: of the joints; ``share`` of acceleration and jerk is used.

    Returns:
        Seconds, or None if three seconds are not enough.
    """
    v0, a0 = state.velocity, state.acceleration
    if not v0.any() and not a0.any():
        return _SHORTEST_S
    per_time = _DURATIONS[:, None]  # (d, 1)
    jerk_start = np.abs(6.0 * v0 / per_time**2 + 4.0 * a0 / per_time)
    jerk_end = np.abs(6.0 * v0 / per_time**2 + 2.0 * a0 / per_time)
    peak = _peak_acceleration(v0, a0, per_time)
    fits = (jerk_start <= limits.jerk * share.jerk) & (jerk_end <= limits.jerk * share.jerk)
    fits &= peak <= np.maximum(limits.acceleration * share.acceleration, np.abs(a0))
    good = np.flatnonzero(fits.all(axis=1))
    return float(_DURATIONS[good[0]]) if len(good) else None


def stopped_after(state: State, duration_s: float) -> State:
    """Where the joints rest after stopping from ``state`` in ``duration_s`` on that curve."""
    distance = state.velocity * duration_s / 2.0 + state.acceleration * duration_s**2 / 12.0
    return State.at_rest(state.position + distance)


def _peak_acceleration(v0: Array, a0: Array, duration: Array) -> Array:
    """Largest absolute acceleration of the curve after its start (d, n) [rad/s^2].

    ``a = a0 + b u + c u^2`` with b = -6 v0/T - 4 a0 and c = 6 v0/T + 3 a0; it is 0 at u = 1.
    """
    b = -6.0 * v0 / duration - 4.0 * a0
    c = 6.0 * v0 / duration + 3.0 * a0
    with np.errstate(divide="ignore", invalid="ignore"):
        vertex = np.where(c != 0.0, -b / (2.0 * c), -1.0)
    at_vertex = a0 + b * vertex + c * vertex**2
    return np.where((vertex > 0.0) & (vertex < 1.0), np.abs(at_vertex), 0.0)
