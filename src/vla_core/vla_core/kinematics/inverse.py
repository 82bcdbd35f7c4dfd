"""Inverse kinematics: joint positions that follow poses of the tool.

Differential: each pose is reached from the joint positions of the one before, by steps that are each the answer of a quadratic
programme, so that poses along a smooth path give joint positions along a smooth path::

    least  ||J dq - e||^2  +  posture ||q + dq - q_rest||^2  +  damping ||dq||^2,   inside of the joints' limits

The tasks are mink's, the solver is DAQP. The limits of the joints are bounds of its variables, and not inequalities as mink would
have them: that, and no wrapper between, makes a step take a third of the time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vla_core.embodiment.limits import JointLimits
from vla_core.kinematics.model import KinematicModel
from vla_core.motion.polynomial import Array

_POSTURE_COST = 3e-3  # small enough to leave the pose right to 0.1 mm, large enough to make the answer unique
_ROTATION_COST = 0.3  # [m/rad]: how many metres a radian is worth
_LEVENBERG_MARQUARDT = 0.1  # damping per squared error of the pose: near a singularity steps stay short
_DAMPING = 1e-9
_LONGEST_STEP = 0.3  # of a joint in one iteration [rad or m]: a step far out of the linear could leave the branch
_CONVERGED = 1e-4  # of a joint in one iteration [rad or m]; what is left is of its square
_ITERATIONS = 30
_SOLVED = 1  # exit flag of DAQP
_MARGIN = 1e-6  # from the position limits [rad or m]


@dataclass(frozen=True, eq=False)
class Reached:
    """The joint positions (n,) nearest to a pose, and how far the tool is from it there [m, rad]."""

    position: Array
    distance: float
    angle: float


class DifferentialIK:
    """Follows poses of the tool centre point.

    Args:
        model: of the robot.
        limits: of its joints.
        posture: (n,) joint positions to stay near to where the pose leaves a choice [rad or m].
    """

    def __init__(self, model: KinematicModel, limits: JointLimits, posture: Array) -> None:
        import daqp
        import mink

        self._solve_qp = daqp.solve
        self._se3, self._so3 = mink.SE3, mink.SO3
        self._model = model
        self._configuration = mink.Configuration(model.mujoco)
        self._pose = mink.FrameTask(
            model.tcp.name,
            model.tcp.kind,
            position_cost=1.0,
            orientation_cost=_ROTATION_COST,
            lm_damping=_LEVENBERG_MARQUARDT,
        )
        self._posture = mink.PostureTask(model.mujoco, cost=_POSTURE_COST)
        self._posture.set_target(model.everything(posture))
        self._block = np.ix_(model.dofs, model.dofs)
        self._low, self._high = limits.position_min + _MARGIN, limits.position_max - _MARGIN
        self._no_inequalities = np.zeros((0, len(posture)))
        self._damping = _DAMPING * np.eye(len(posture))
        self._sense = np.zeros(len(posture), dtype=np.int32)

    def reach(self, place: Array, turn: Array, near: Array) -> Reached:
        """The joint positions nearest to a pose, searched from others.

        Args:
            place: (3,) of the tool centre point in the base's frame [m].
            turn: (3, 3) its rotation.
            near: (n,) where the search begins [rad or m].
        """
        self._model.placed(near)
        world = self._model.in_world(place, turn)
        self._pose.set_target(self._se3.from_rotation_and_translation(self._so3.from_matrix(world[1]), world[0]))
        position = np.minimum(np.maximum(near, self._low), self._high)
        everything = self._model.everything(position)
        for _ in range(_ITERATIONS):
            self._configuration.update(everything)
            step = self._step(position)
            position = position + step
            everything[self._model.positions] = position
            if np.abs(step).max() < _CONVERGED:
                break
        found = self._model.tcp_pose(position)
        return Reached(position, float(np.linalg.norm(found[0] - place)), _angle(found[1].T @ turn))

    def _step(self, position: Array) -> Array:
        pose = self._pose.compute_qp_objective(self._configuration)
        posture = self._posture.compute_qp_objective(self._configuration)
        hessian = (pose.H + posture.H)[self._block]
        hessian += self._damping
        upper = np.clip(self._high - position, 0.0, _LONGEST_STEP)
        lower = np.clip(self._low - position, -_LONGEST_STEP, 0.0)
        gradient = (pose.c + posture.c)[self._model.dofs]
        step, _, flag, _ = self._solve_qp(hessian, gradient, self._no_inequalities, upper, lower, self._sense)
        return np.asarray(step) if flag == _SOLVED else np.zeros_like(position)


def _angle(turn: Array) -> float:
    """The angle of a rotation (3, 3) [rad]; by the sine where it is small, which the cosine cannot tell."""
    sine = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]]) / 2.0
    return float(np.arctan2(np.linalg.norm(sine), (np.trace(turn) - 1.0) / 2.0))
