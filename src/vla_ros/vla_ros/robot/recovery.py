"""Getting a robot out of an error of its own: never automatic, always in the order that its driver asks for."""

from __future__ import annotations

from action_msgs.msg import GoalStatus
from lifecycle_msgs.msg import State

from controller_manager_msgs.srv import SetHardwareComponentState
from franka_msgs.action import ErrorRecovery
from vla_core.embodiment import Embodiment
from vla_core.embodiment.schema import Recovery
from vla_core.errors import LimitError
from vla_ros.calls import CallError, answer, call
from vla_ros.host import NodeHost
from vla_ros.robot.controllers import ControllerSwitch

_WITHIN_S = 10.0


class RobotRecovery:
    """The three steps of franka_hardware's documentation: error recovery, hardware component, controllers.

    Args:
        host: of the node.
        recovery: of the embodiment.
        switch: activates the arm's controller.
    """

    def __init__(self, host: NodeHost, recovery: Recovery, switch: ControllerSwitch) -> None:
        self._recovery = recovery
        self._switch = switch
        self._client = host.action_client(ErrorRecovery, recovery.action)
        self._hardware = host.client(SetHardwareComponentState, "/controller_manager/set_hardware_component_state")

    def run(self) -> None:
        """Recovers. Not for the loop.

        Raises:
            CallError: something did not answer.
            LimitError: something refused.
        """
        self._recover()
        request = SetHardwareComponentState.Request(name=self._recovery.hardware_component)
        request.target_state = State(id=State.PRIMARY_STATE_ACTIVE, label="active")
        changed = call(self._hardware, request, _WITHIN_S)
        if not changed.ok:
            raise LimitError(
                f"expected the hardware component '{request.name}' to become active, found it {changed.state.label or 'refused'}"
            )
        self._switch.take()

    def _recover(self) -> None:
        name = self._recovery.action
        if not self._client.wait_for_server(_WITHIN_S):
            raise CallError(f"expected the action {name}, found no server within {_WITHIN_S:.0f} s")
        handle = answer(self._client.send_goal_async(ErrorRecovery.Goal()), name, _WITHIN_S)
        if not handle.accepted:
            raise LimitError(f"{name}: expected the goal to be accepted, found it refused")
        result = answer(handle.get_result_async(), name, _WITHIN_S)
        if result.status != GoalStatus.STATUS_SUCCEEDED:
            raise LimitError(f"{name}: expected the recovery to succeed, found the status {result.status}")


def recovery_of(host: NodeHost, embodiment: Embodiment, switch: ControllerSwitch) -> RobotRecovery | None:
    """The recovery that the embodiment declares, if there is one."""
    return RobotRecovery(host, embodiment.recovery, switch) if embodiment.recovery else None
