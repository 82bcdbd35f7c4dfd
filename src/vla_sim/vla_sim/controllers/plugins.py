"""The controllers that there are, by the type that a controllers file names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from vla_sim.controllers.broadcaster import JointStateBroadcaster
from vla_sim.controllers.forward_command import ForwardCommandController
from vla_sim.controllers.hardware import JointInterfaces
from vla_sim.controllers.joint_trajectory import JointTrajectoryController
from vla_sim.controllers.parameters import (
    broadcaster_parameters,
    forward_command_parameters,
    joint_trajectory_parameters,
)


class Controller(Protocol):
    """What the manager needs of a controller; interfaces are named ``joint/kind``."""

    name: str
    type: str
    active: bool
    command_interfaces: tuple[str, ...]
    state_interfaces: tuple[str, ...]

    @property
    def parameters(self) -> Any:
        """A dataclass."""
        ...

    def activate(self, time_ns: int) -> None: ...

    def deactivate(self) -> None: ...

    def update(self, time_ns: int, period_ns: int) -> bool:
        """Runs one cycle. Returns False if it failed: the manager then deactivates the controller."""
        ...


Parameters = Mapping[str, Any]
Maker = Callable[[str, Parameters, str, JointInterfaces, int], Controller]


def _joint_trajectory(name: str, data: Parameters, where: str, hardware: JointInterfaces, period_ns: int) -> Controller:
    return JointTrajectoryController(name, joint_trajectory_parameters(data, where), hardware, period_ns)


def _forward_command(name: str, data: Parameters, where: str, hardware: JointInterfaces, period_ns: int) -> Controller:
    return ForwardCommandController(name, forward_command_parameters(data, where), hardware)


def _broadcaster(name: str, data: Parameters, where: str, hardware: JointInterfaces, period_ns: int) -> Controller:
    return JointStateBroadcaster(name, broadcaster_parameters(data, where), hardware)


PLUGINS: dict[str, Maker] = {
    JointTrajectoryController.type: _joint_trajectory,
    ForwardCommandController.type: _forward_command,
    JointStateBroadcaster.type: _broadcaster,
}
"""Plugin type to what makes a controller: called with name, parameters, where those were read, interfaces and period."""
