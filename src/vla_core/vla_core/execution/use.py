"""How much of its limits the executed motion uses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vla_core.embodiment.limits import JointLimits
from vla_core.motion.plan import MotionPlan
from vla_core.motion.polynomial import Array


@dataclass(frozen=True, eq=False)
class Use:
    """Largest share of each limit, per joint (n,), 1 is the limit."""

    velocity: Array
    acceleration: Array
    jerk: Array


class UseMeter:
    """Keeps the largest use of the limits at the control ticks since it was last read."""

    def __init__(self, limits: JointLimits) -> None:
        self._limits = limits
        self._use = self._none()

    def note(self, plan: MotionPlan, now_ns: int) -> None:
        """Takes the state of the executed plan at a tick."""
        state = plan.state_at(now_ns)
        upper, lower = self._limits.velocity_upper(state.position), self._limits.velocity_lower(state.position)
        limit = np.maximum(np.where(state.velocity > 0, upper, -lower), 1e-9)
        self._use = Use(
            np.maximum(self._use.velocity, np.abs(state.velocity) / limit),
            np.maximum(self._use.acceleration, np.abs(state.acceleration) / self._limits.acceleration),
            np.maximum(self._use.jerk, np.abs(plan.jerk_at(now_ns)) / self._limits.jerk),
        )

    def read(self) -> Use:
        """Returns the largest use since the last call, and begins anew."""
        use, self._use = self._use, self._none()
        return use

    def _none(self) -> Use:
        zeros = np.zeros(len(self._limits.velocity))
        return Use(zeros, zeros, zeros)
