"""forward_command_controller on position interfaces: every command goes straight through, at once and without a limit.

Source of the behaviour: ros2_controllers 4.42, ``ForwardControllersBase``.
"""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from vla_sim.controllers.hardware import JointInterfaces
from vla_sim.controllers.parameters import ForwardCommandParameters

_log = logging.getLogger(__name__)


class ForwardCommandController:
    """Writes the newest command in every cycle: silence holds it for ever, and nothing is written before the first one.

    Raises:
        ConfigError: a joint is not one of the hardware's.
    """

    type = "forward_command_controller/ForwardCommandController"

    def __init__(self, name: str, parameters: ForwardCommandParameters, hardware: JointInterfaces) -> None:
        self.name = name
        self.parameters = parameters
        self.command_interfaces = tuple(f"{joint}/{parameters.interface_name}" for joint in parameters.joints)
        self.state_interfaces: tuple[str, ...] = ()
        self.active = False
        self._hardware = hardware
        self._index = hardware.indices(parameters.joints, name)
        self._command: NDArray[np.float64] | None = None

    def activate(self, time_ns: int) -> None:
        """Forgets what came while it was inactive."""
        self._command = None
        self.active = True

    def deactivate(self) -> None:
        self._command = None
        self.active = False

    def submit(self, command: NDArray[np.float64]) -> bool:
        """Takes a command [rad or m], of any length: a wrong one fails in :meth:`update`.

        Returns False if it is dropped whole because a value is not finite.
        """
        if not np.isfinite(command).all():
            _log.warning("%s: command dropped: expected finite values, found %s", self.name, command.tolist())
            return False
        if len(command):  # an empty one passes the real controller's test for "nothing came yet"
            self._command = np.array(command, dtype=np.float64)
        return True

    def update(self, time_ns: int, period_ns: int) -> bool:
        """Writes the command. Returns False if its length is wrong: the controller manager then deactivates it."""
        if self._command is None:
            return True
        if len(self._command) != len(self._index):
            _log.error("%s: expected %d values, found %d", self.name, len(self._index), len(self._command))
            return False
        self._hardware.command[self._index] = self._command
        return True
