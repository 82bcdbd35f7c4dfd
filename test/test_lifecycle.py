"""command_node as a managed node: it may not be armed before it is active, comes to rest when it is not, and can begin anew."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import rclpy
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from support import EMBODIMENTS, Collector, Nodes, eventually
from vla_msgs.msg import CommandStatus
from vla_msgs.srv import Arm

from vla.graph import Process
from vla.supervisor import Supervisor
from vla_ros import host as ros_host
from vla_ros import names, qos

pytestmark = pytest.mark.ros

_SERVICES = {
    "/command_node/change_state": ChangeState,
    "/command_node/get_state": GetState,
    names.ARM: Arm,
}


class Desk(Collector):
    """Asks for transitions, and sees the statuses."""

    def __init__(self, host: Any) -> None:
        super().__init__(host, {}, _SERVICES)
        self.statuses = self.listen(names.COMMAND_STATUS, CommandStatus, qos.latched())

    def change(self, transition: int) -> bool:
        request = ChangeState.Request(transition=Transition(id=transition))
        return bool(self.call("/command_node/change_state", request).success)

    def state(self) -> int:
        return int(self.call("/command_node/get_state", GetState.Request()).current_state.id)

    def sees(self, state: int) -> None:
        eventually(lambda: bool(self.statuses) and self.statuses[-1].state == state)


@pytest.fixture
def desk() -> Iterator[Desk]:
    parameters = {"embodiment": str(EMBODIMENTS / "fr3_sim.yaml"), "autostart": False}
    process = Process("command_node", "vla_policy_node", "command_node", parameters)
    ros_host.init()
    with Supervisor([process], os.environ), Nodes() as nodes:
        yield nodes.start("desk", Desk)
    rclpy.try_shutdown()


def test_it_goes_through_its_states_and_may_be_armed_only_while_it_is_active(desk: Desk) -> None:
    assert desk.state() == State.PRIMARY_STATE_UNCONFIGURED
    assert desk.statuses == []
    assert desk.change(Transition.TRANSITION_CONFIGURE)
    desk.sees(CommandStatus.UNCONFIGURED)
    refused = desk.call(names.ARM, Arm.Request(shadow=True))
    assert not refused.accepted
    assert desk.change(Transition.TRANSITION_ACTIVATE)
    desk.sees(CommandStatus.READY)
    assert desk.state() == State.PRIMARY_STATE_ACTIVE
    assert desk.change(Transition.TRANSITION_DEACTIVATE)
    desk.sees(CommandStatus.UNCONFIGURED)
    assert desk.change(Transition.TRANSITION_CLEANUP)
    eventually(lambda: desk.host.node.count_publishers(names.COMMAND_STATUS) == 0)
    assert desk.state() == State.PRIMARY_STATE_UNCONFIGURED
    desk.statuses.clear()
    assert desk.change(Transition.TRANSITION_CONFIGURE)  # anew
    assert desk.change(Transition.TRANSITION_ACTIVATE)
    desk.sees(CommandStatus.READY)
