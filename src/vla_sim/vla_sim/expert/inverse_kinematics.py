"""Joint positions for a pose of the tool centre point, as a smooth function of the pose: solved with mink."""

from __future__ import annotations

import mink
import numpy as np
from numpy.typing import NDArray

from vla_sim.errors import SimulationError
from vla_sim.models.robot_model import RobotModel
from vla_sim.mujoco_plant import load_spec

Array = NDArray[np.float64]

_POSTURE_COST = 3e-3  # small enough to leave the pose right to 0.1 mm, large enough to make the solution unique
_CONVERGED = 1e-8  # [rad] change of an iteration; what is left differs by much less from one call to the next
_ITERATIONS = 40
_REACHED = 1e-3  # [m]


class InverseKinematics:
    """Finds the joint positions nearest to a posture among those that reach a pose with the hand pointing down.

    Solved until it no longer changes, the answer hardly depends on where the search began: poses along a smooth path give
    joint positions along a smooth path.

    Args:
        model: of the robot; objects are not needed.
        posture: (n,) the arm positions to stay near to [rad].
    """

    def __init__(self, model: RobotModel, posture: Array) -> None:
        compiled = load_spec(model).compile()
        self._configuration = mink.Configuration(compiled)
        self._arm = np.array([compiled.joint(name).qposadr[0] for name in model.joint_names], dtype=np.intp)
        self._site = model.tcp_site
        self._pose = mink.FrameTask(model.tcp_site, "site", position_cost=1.0, orientation_cost=0.3)
        self._posture = mink.PostureTask(compiled, cost=_POSTURE_COST)
        self._limits = [mink.ConfigurationLimit(compiled)]
        self._everything = self._configuration.q.copy()
        self._posture.set_target(self._with(posture))

    def tcp(self, arm_position: Array) -> Array:
        """x, y, z [m] and yaw [rad] of the tool centre point (4,)."""
        self._configuration.update(self._with(arm_position))
        pose = self._configuration.get_transform_frame_to_world(self._site, "site")
        forward = pose.rotation().as_matrix()[:, 0]
        return np.array([*pose.translation(), np.arctan2(forward[1], forward[0])])

    def solve(self, target: Array, near: Array) -> Array:
        """Arm positions (n,) for ``target`` (4,): x, y, z [m] and yaw [rad]; the search begins at ``near`` (n,).

        Raises:
            SimulationError: the pose cannot be reached.
        """
        downwards = mink.SO3.from_z_radians(target[3]) @ mink.SO3.from_x_radians(np.pi)
        self._pose.set_target(mink.SE3.from_rotation_and_translation(downwards, target[:3]))
        self._configuration.update(self._with(near))
        for _ in range(_ITERATIONS):
            step = mink.solve_ik(
                self._configuration, [self._pose, self._posture], 1.0, "daqp", damping=1e-9, limits=self._limits
            )
            self._configuration.integrate_inplace(step, 1.0)
            if np.abs(step).max() < _CONVERGED:
                break
        reached = self._configuration.get_transform_frame_to_world(self._site, "site").translation()
        if np.linalg.norm(reached - target[:3]) > _REACHED:
            raise SimulationError(
                f"the arm cannot reach {target[:3].round(3).tolist()}; nearest {reached.round(3).tolist()}"
            )
        return np.array(self._configuration.q[self._arm])

    def _with(self, arm_position: Array) -> Array:
        positions = np.array(self._everything)
        positions[self._arm] = arm_position
        return positions
