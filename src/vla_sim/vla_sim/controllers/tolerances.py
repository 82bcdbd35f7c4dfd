"""How far the arm may be from a trajectory: joint_trajectory_controller's tolerances, on positions.

The real controller also knows tolerances on velocity and acceleration; with a position command interface it never computes
those errors, so they have no effect there and are left out here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vla_sim.controllers.messages import FollowJointTrajectoryGoal, JointTolerance
from vla_sim.controllers.parameters import JointConstraints, JointTrajectoryParameters

Array = NDArray[np.float64]

_NO_TOLERANCE_NS = -1_000_000_000  # -1, in seconds, asks for none


@dataclass(frozen=True, eq=False)
class Tolerances:
    """Largest position errors (n,) [rad or m], infinite where nothing is checked.

    Attributes:
        path: while moving.
        goal: after the end.
        goal_time_ns: how long after the end the goal tolerance may still be missed; 0: for ever.
    """

    path: Array
    goal: Array
    goal_time_ns: int

    def left_path(self, error: Array) -> bool:
        return bool((np.abs(error) > self.path).any())  # NaN is not larger: as in the real controller

    def missed_goal(self, error: Array) -> bool:
        return bool((np.abs(error) > self.goal).any())


def configured(parameters: JointTrajectoryParameters) -> Tolerances:
    """The tolerances of the parameters."""
    joints = [parameters.constraints.joints.get(name, JointConstraints()) for name in parameters.joints]
    path = np.array([joint.trajectory for joint in joints])
    goal = np.array([joint.goal for joint in joints])
    goal_time_ns = round(parameters.constraints.goal_time * 1e9)
    return Tolerances(np.where(path > 0, path, np.inf), np.where(goal > 0, goal, np.inf), goal_time_ns)


def requested(goal: FollowJointTrajectoryGoal, default: Tolerances, joints: Sequence[str]) -> Tolerances:
    """The tolerances of an action goal. With an unknown joint or a forbidden value the whole goal gets ``default``."""
    path = _override(default.path, goal.path_tolerance, joints)
    end = _override(default.goal, goal.goal_tolerance, joints)
    wanted_ns = goal.goal_time_tolerance_ns
    if path is None or end is None or (wanted_ns < 0 and wanted_ns != _NO_TOLERANCE_NS):
        return default
    return Tolerances(path, end, max(wanted_ns, 0) if wanted_ns else default.goal_time_ns)


def _override(default: Array, wanted: Sequence[JointTolerance], joints: Sequence[str]) -> Array | None:
    values = default.copy()
    for tolerance in wanted:
        if tolerance.name not in joints or (tolerance.position < 0 and tolerance.position != -1.0):
            return None
        if tolerance.position != 0.0:
            values[joints.index(tolerance.name)] = tolerance.position if tolerance.position > 0 else np.inf
    return values
