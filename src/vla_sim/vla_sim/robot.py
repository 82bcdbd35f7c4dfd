"""The simulated robot: controllers and gripper driving a plant, cycle by cycle, as ros2_control's loop does."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vla_sim.controllers.gripper import Gripper, GripperParameters
from vla_sim.controllers.hardware import STATE_KINDS, JointInterfaces
from vla_sim.controllers.joint_trajectory import JointTrajectoryController
from vla_sim.controllers.manager import ControllerManager
from vla_sim.controllers.parameters import ControllersFile
from vla_sim.errors import SimulationError
from vla_sim.plant import Array, JointState, Plant, World

_FASTEST = 6.0  # [rad/s] a command that jumps farther than a joint can move does not make its inner controller kick


@dataclass(frozen=True, eq=False)
class CycleLog:
    """What happened in k cycles, one row each. Joints are in the plant's order.

    Attributes:
        time_ns: (k,) when each cycle began and its state was measured.
        position, velocity, effort: (k, n) measured then [rad, rad/s, Nm].
        command: (k, n) position that the joints were told in this cycle, which is where they are to be in the next [rad].
        references: trajectory controller that was active to (k, 3, m): position, velocity and acceleration of its reference,
            in the order of its joints.
        finger_position, finger_velocity, finger_effort: (k, 2) [m, m/s, N].
        dropped: (k,) how many of the commands were not finite; those joints kept the one before.
    """

    time_ns: NDArray[np.int64]
    position: Array
    velocity: Array
    effort: Array
    command: Array
    references: Mapping[str, Array]
    finger_position: Array
    finger_velocity: Array
    finger_effort: Array
    dropped: NDArray[np.int64]


class SimulatedRobot:
    """A plant with ros2_control on top. Time goes on only in :meth:`run`, by one update period per cycle.

    The same calls at the same cycles give bit-identical results, however the cycles are divided among calls of :meth:`run`.

    Args:
        plant: to be driven.
        controllers: the controllers file.
        world: where everything begins.
        start_ns: time of the first cycle.
        gripper: constants of the gripper.

    Raises:
        SimulationError: a step of the plant is not a cycle of the controllers.
    """

    def __init__(
        self,
        plant: Plant,
        controllers: ControllersFile,
        world: World,
        start_ns: int = 0,
        gripper: GripperParameters | None = None,
    ) -> None:
        self.plant = plant
        self.time_ns = self.reset_ns = start_ns
        plant.reset(world)
        state = plant.joint_state()
        kinds = [kind for kind, values in zip(STATE_KINDS, state, strict=True) if not np.isnan(values).all()]
        self.hardware = JointInterfaces(plant.joint_names, kinds)
        self.manager = ControllerManager(controllers, self.hardware)
        self.gripper = Gripper(gripper or GripperParameters(), self.manager.period_ns, 2.0 * world.finger_position)
        if round(plant.period_s * 1e9) != self.manager.period_ns:
            found = f"{self.manager.period_ns * 1e-9} s by {controllers.path}"
            raise SimulationError(f"expected a cycle of {plant.period_s} s, a step of the plant, found {found}")
        self._measured(state)
        self._target = state.position.copy()

    def start(self, *names: str) -> None:
        """Loads, configures and activates controllers, as a spawner does. Raises ConfigError."""
        self.manager.start(*names, time_ns=self.time_ns)

    def reset(self, world: World) -> None:
        """Puts the world back. Time goes on; whatever controller is active is deactivated and activated anew."""
        self.plant.reset(world)
        self._measured(self.plant.joint_state())
        self._target = self.hardware.position.copy()
        self.reset_ns = self.time_ns
        self.manager.restart(self.time_ns)
        self.gripper.reset(2.0 * world.finger_position)

    def run(self, cycles: int) -> CycleLog:
        """Runs cycles and returns what happened. :attr:`time_ns` is then the time of the next cycle."""
        followers = [c for c in self.manager.active if isinstance(c, JointTrajectoryController)]
        log = self._empty_log(cycles, followers)
        for row in range(cycles):
            state = self.plant.joint_state()
            fingers = self.plant.finger_state()
            self._measured(state)
            self.manager.update(self.time_ns)
            velocity, log.dropped[row] = self._take_command()
            finger = self.gripper.update(self.time_ns, float(fingers.position.sum()), float(fingers.velocity.sum()))
            self.plant.step(self._target, velocity, *finger)
            log.position[row], log.velocity[row], log.effort[row] = state
            log.finger_position[row], log.finger_velocity[row], log.finger_effort[row] = fingers
            log.command[row] = self._target
            for controller in followers:
                log.references[controller.name][row] = controller.reference
            self.time_ns += self.manager.period_ns
        return log

    def _measured(self, state: JointState) -> None:
        self.hardware.position, self.hardware.velocity, self.hardware.effort = state

    def _take_command(self) -> tuple[Array, int]:
        """Takes over the commands that are numbers. Returns the velocity they mean, and how many were dropped."""
        command = self.hardware.command.copy()
        dropped = 0
        if not math.isfinite(command.sum()):
            usable = np.isfinite(command)
            never = np.isnan(command).all()  # nothing was commanded since the start or the reset
            dropped = 0 if never else int((~usable).sum())
            command = np.where(usable, command, self._target)
        step = self.manager.period_ns * 1e-9
        velocity = np.clip((command - self._target) / step, -_FASTEST, _FASTEST)
        self._target = command
        return velocity, dropped

    def _empty_log(self, cycles: int, followers: list[JointTrajectoryController]) -> CycleLog:
        joints, fingers = len(self.hardware.joint_names), len(self.plant.finger_state().position)
        times = self.time_ns + self.manager.period_ns * np.arange(cycles, dtype=np.int64)
        position, velocity, effort, command = np.full((4, cycles, joints), np.nan)
        finger_position, finger_velocity, finger_effort = np.full((3, cycles, fingers), np.nan)
        return CycleLog(
            time_ns=times,
            position=position,
            velocity=velocity,
            effort=effort,
            command=command,
            references={c.name: np.full((cycles, 3, len(c.joints)), np.nan) for c in followers},
            finger_position=finger_position,
            finger_velocity=finger_velocity,
            finger_effort=finger_effort,
            dropped=np.zeros(cycles, dtype=np.int64),
        )
