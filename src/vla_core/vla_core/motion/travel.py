"""Where the velocities of a plan lead a base."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vla_core.motion.plan import MotionPlan
from vla_core.motion.polynomial import Array

_STEP_NS = 20_000_000  # a base turns little meanwhile, and drives along the middle of its headings


def travelled(plan: MotionPlan, names: Sequence[str], since_ns: int) -> Array:
    """The way of a base from a time on, to the plan's rest.

    Args:
        plan: of ways travelled along and about the base's own axes.
        names: of the plan's axes, of which ``linear_x``, ``linear_y`` and ``angular_z`` lead somewhere in the plane.
        since_ns: when the way begins [ns].

    Returns:
        (k, 3) x, y [m] and yaw [rad] as the base sees them at ``since_ns``, the first one zero.
    """
    count = max(0, -(-(plan.end_ns - since_ns) // _STEP_NS))
    ways = np.array([plan.state_at(since_ns + step * _STEP_NS).position for step in range(count + 1)])
    parts = {name: np.diff(ways[:, index]) for index, name in enumerate(names)}
    none = np.zeros(count)
    forwards, aside = parts.get("linear_x", none), parts.get("linear_y", none)
    turned = parts.get("angular_z", none)
    yaw = np.concatenate([[0.0], np.cumsum(turned)])
    middle = yaw[:-1] + turned / 2.0
    x = np.cumsum(np.cos(middle) * forwards - np.sin(middle) * aside)
    y = np.cumsum(np.sin(middle) * forwards + np.cos(middle) * aside)
    return np.stack([np.concatenate([[0.0], x]), np.concatenate([[0.0], y]), yaw], axis=1)
