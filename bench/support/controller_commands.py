"""What a joint_trajectory_controller commands when it is sent an executor's plans, at 1 kHz."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from vla_core.motion.plan import MotionPlan
from vla_core.motion.polynomial import Array
from vla_sim.controllers.trajectory import ExecutedTrajectory, Waypoint

CYCLE_NS = 1_000_000


@dataclass
class ControllerCommands:
    """Takes plans as they arrive, and tells afterwards what was commanded.

    The controller is the one with ``interpolate_from_desired_state``; it forgets the trajectory before at the first cycle after
    a new one has arrived, and writes in each cycle where the arm shall be one cycle later.

    Args:
        position: (n,) held at first [rad].
    """

    position: Array
    _arrived: list[tuple[int, MotionPlan]] = field(default_factory=list)
    refused: int = 0
    """trajectories that the controller would not take: without a rest at the end, or with an end in the past"""

    def receive(self, plan: MotionPlan, at_ns: int) -> None:
        """Takes a plan that arrives at a time; messages do not overtake each other."""
        at_ns = max(at_ns, self._arrived[-1][0]) if self._arrived else at_ns
        if plan.velocities[-1].any() or plan.end_ns < at_ns or (np.diff(plan.times_ns) <= 0).any():
            self.refused += 1
            return
        self._arrived.append((at_ns, plan))

    def positions(self, end_ns: int) -> Array:
        """(k, n) commanded in the cycles at 0, 1, 2 ... ms up to ``end_ns`` [rad]."""
        cycles = np.arange(0, end_ns, CYCLE_NS)
        edges = [*np.searchsorted(cycles, [at_ns for at_ns, _ in self._arrived]), len(cycles)]
        blocks = [np.tile(self.position, (edges[0], 1))]
        before = Waypoint(0, self.position, None, None)
        for (_, plan), first, last in zip(self._arrived, edges[:-1], edges[1:], strict=True):
            if first >= last:
                continue  # replaced before a cycle saw it
            trajectory = ExecutedTrajectory(_waypoints(plan), int(plan.times_ns[0]), before, CYCLE_NS)
            ahead = cycles[first:last] + CYCLE_NS
            state = trajectory.sample(ahead)
            blocks.append(state.position)
            before = Waypoint(int(ahead[-1]), state.position[-1], state.velocity[-1], state.acceleration[-1])
        return np.concatenate(blocks)


def _waypoints(plan: MotionPlan) -> tuple[Waypoint, ...]:
    """The points as the sink sends them, with times from the first."""
    times = plan.times_ns - plan.times_ns[0]
    return tuple(
        Waypoint(int(time_ns), plan.positions[k], plan.velocities[k], plan.accelerations[k])
        for k, time_ns in enumerate(times)
    )
