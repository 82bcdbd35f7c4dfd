"""joint_state_broadcaster as the controller manager sees it: while it is active, joint states are published."""

from __future__ import annotations

from vla_sim.controllers.hardware import JointInterfaces
from vla_sim.controllers.parameters import BroadcasterParameters


class JointStateBroadcaster:
    """Claims no command interface; whoever publishes the joint states asks whether it is active.

    Raises:
        ConfigError: a joint is not one of the hardware's.
    """

    type = "joint_state_broadcaster/JointStateBroadcaster"

    def __init__(self, name: str, parameters: BroadcasterParameters, hardware: JointInterfaces) -> None:
        self.name = name
        self.parameters = parameters
        self.joints = tuple(parameters.joints or hardware.joint_names)
        hardware.indices(self.joints, name)
        kinds = parameters.interfaces or hardware.state_kinds
        self.command_interfaces: tuple[str, ...] = ()
        self.state_interfaces = tuple(f"{joint}/{kind}" for joint in self.joints for kind in kinds)
        self.active = False

    def activate(self, time_ns: int) -> None:
        self.active = True

    def deactivate(self) -> None:
        self.active = False

    def update(self, time_ns: int, period_ns: int) -> bool:
        return True
