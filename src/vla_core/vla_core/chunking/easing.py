"""How a path ends when nothing comes after it: slower and slower along itself, until it stands at its last action."""

from __future__ import annotations

from typing import NamedTuple

EASE_NS = 100_000_000
"""So much of a path, at most, is slowed down in the end; it takes twice as long [ns]."""


class Phase(NamedTuple):
    """Where on a path one is meant to be.

    path_ns: the time at which the path is there by itself [ns]. rate: path time per time, from 1 to 0. slope: its derivative
    [1/s].
    """

    path_ns: int
    rate: float
    slope: float


def eased(time_ns: int, end_ns: int, ease_ns: int) -> Phase:
    """The phase of a path that comes to rest at its end.

    ::

        rate 1 ───────────╮
                           ╲
             0              ╰────────
                          │  │  │
           end - ease ────╯ end ╰──── end + ease, when the end is reached

    The rate falls as 1 - 3 x^2 + 2 x^3, whose mean is one half, so that the acceleration has no steps.

    Args:
        time_ns: now, or any time up to ``end_ns + ease_ns`` [ns].
        end_ns: when the path is at its end by itself [ns].
        ease_ns: so much of the path is slowed down [ns].
    """
    begin_ns = end_ns - ease_ns
    if time_ns <= begin_ns or ease_ns <= 0:
        return Phase(min(time_ns, end_ns), 1.0, 0.0)
    length_ns = 2 * ease_ns
    x = min((time_ns - begin_ns) / length_ns, 1.0)
    travelled = x - x**3 + x**4 / 2.0
    rate = 1.0 - 3.0 * x**2 + 2.0 * x**3
    slope = 6.0 * (x**2 - x) / (length_ns * 1e-9)
    return Phase(min(begin_ns + round(travelled * length_ns), end_ns), rate, slope)
