"""The arm's controller taken, checked and given back, and a robot's recovery: against servers that say what a test wants."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

rclpy = pytest.importorskip("rclpy", reason="needs rclpy and the built interfaces")

from rcl_interfaces.msg import ParameterType, ParameterValue  # noqa: E402
from rcl_interfaces.srv import GetParameters  # noqa: E402

from controller_manager_msgs.msg import ControllerState  # noqa: E402
from controller_manager_msgs.srv import (  # noqa: E402
    ConfigureController,
    ListControllers,
    LoadController,
    SetHardwareComponentState,
    SwitchController,
)
from franka_msgs.action import ErrorRecovery  # noqa: E402
from vla_core.embodiment import load_embodiment  # noqa: E402
from vla_core.errors import LimitError  # noqa: E402
from vla_ros import host as ros_host  # noqa: E402
from vla_ros.host import NodeHost  # noqa: E402
from vla_ros.real_time import RealTimePacer  # noqa: E402
from vla_ros.robot.controllers import ControllerParameters, ControllerSwitch  # noqa: E402
from vla_ros.robot.recovery import RobotRecovery, recovery_of  # noqa: E402

pytestmark = pytest.mark.ros
FR3 = load_embodiment(Path(__file__).parents[3] / "config" / "embodiments" / "fr3.yaml")
ARM, OTHER, CAMERA = FR3.arm.name, "gravity_compensation", "joint_state_broadcaster"
JOINTS = [f"{joint}/position" for joint in FR3.joint_names]
PATIENCE_S = 30.0


class Robot:
    """controller_manager, the controller's parameters and the driver's recovery, with notes of what was asked."""

    def __init__(self, host: NodeHost) -> None:
        self.states = {CAMERA: "active", OTHER: "active", ARM: "inactive"}
        self.parameters: dict[str, Any] = {"interpolate_from_desired_state": True}
        self.asked: list[Any] = []
        self.refuses: set[str] = set()
        self.recovers = True
        host.service(ListControllers, "/controller_manager/list_controllers", self._list)
        host.service(LoadController, "/controller_manager/load_controller", self._named("load", "unconfigured"))
        host.service(
            ConfigureController, "/controller_manager/configure_controller", self._named("configure", "inactive")
        )
        host.service(SwitchController, "/controller_manager/switch_controller", self._switch)
        host.service(SetHardwareComponentState, "/controller_manager/set_hardware_component_state", self._set_hardware)
        host.service(GetParameters, f"/{ARM}/get_parameters", self._get)
        host.action_server(ErrorRecovery, "/action_server/error_recovery", self._recover)

    def _list(self, request: Any, response: Any) -> Any:
        for name, state in self.states.items():
            needs = [] if name == CAMERA else JOINTS
            claims = needs if state == "active" else []
            response.controller.append(
                ControllerState(name=name, state=state, claimed_interfaces=claims, required_command_interfaces=needs)
            )
        return response

    def _named(self, verb: str, becomes: str) -> Callable[[Any, Any], Any]:
        def handle(request: Any, response: Any) -> Any:
            self.asked.append((verb, request.name))
            response.ok = verb not in self.refuses
            if response.ok:
                self.states[request.name] = becomes
            return response

        return handle

    def _switch(self, request: Any, response: Any) -> Any:
        assert request.strictness == SwitchController.Request.STRICT
        self.asked.append(("switch", list(request.activate_controllers), list(request.deactivate_controllers)))
        response.ok = "switch" not in self.refuses
        response.message = "" if response.ok else "an interface is not available"
        if response.ok:
            self.states.update(dict.fromkeys(request.activate_controllers, "active"))
            self.states.update(dict.fromkeys(request.deactivate_controllers, "inactive"))
        return response

    def _set_hardware(self, request: Any, response: Any) -> Any:
        self.asked.append(("hardware", request.name, request.target_state.label))
        response.ok = "hardware" not in self.refuses
        return response

    def _get(self, request: Any, response: Any) -> Any:
        for name in request.names:
            value = self.parameters.get(name)
            if isinstance(value, bool):
                response.values.append(ParameterValue(type=ParameterType.PARAMETER_BOOL, bool_value=value))
            elif value is not None:
                response.values.append(ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=value))
            else:
                response.values.append(ParameterValue(type=ParameterType.PARAMETER_NOT_SET))
        return response

    def _recover(self, goal: Any) -> ErrorRecovery.Result:
        self.asked.append(("recover",))
        if self.recovers:
            goal.succeed()
        else:
            goal.abort()
        return ErrorRecovery.Result()


@pytest.fixture
def graph() -> Iterator[tuple[NodeHost, Robot]]:
    """A host for the clients, and a robot on a host of its own."""
    ros_host.init()
    hosts = [NodeHost(rclpy.create_node(name), RealTimePacer()) for name in ("client", "robot")]
    robot = Robot(hosts[1])
    with ThreadPoolExecutor(2) as threads:
        running = [threads.submit(host.run) for host in hosts]
        yield hosts[0], robot
        for host in hosts:
            host.stop()
        for one in running:
            one.result(PATIENCE_S)
    for host in hosts:
        host.node.destroy_node()
    rclpy.try_shutdown()


def test_the_controller_takes_the_place_of_those_that_have_its_joints_and_is_given_back(
    graph: tuple[NodeHost, Robot],
) -> None:
    host, robot = graph
    switch = ControllerSwitch(host, FR3)
    switch.take()
    assert robot.asked == [("switch", [ARM], [OTHER])]
    switch.take()  # it is active
    assert len(robot.asked) == 1
    switch.give_back()
    assert robot.asked[1:] == [("switch", [OTHER], [ARM])]
    switch.give_back()
    assert len(robot.asked) == 2
    assert robot.states == {CAMERA: "active", OTHER: "active", ARM: "inactive"}


def test_a_controller_that_was_active_before_stays_so(graph: tuple[NodeHost, Robot]) -> None:
    host, robot = graph
    robot.states = {ARM: "active"}
    switch = ControllerSwitch(host, FR3)
    switch.take()
    switch.give_back()
    assert robot.asked == []


def test_a_controller_that_is_not_there_is_loaded_and_configured_first(graph: tuple[NodeHost, Robot]) -> None:
    host, robot = graph
    del robot.states[ARM]
    ControllerSwitch(host, FR3).take()
    assert robot.asked == [("load", ARM), ("configure", ARM), ("switch", [ARM], [OTHER])]


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        ("load", f"expected the controller '{ARM}' to be loaded"),
        ("configure", f"expected the controller '{ARM}' to be configured"),
        ("switch", "found: an interface is not available"),
    ],
)
def test_what_controller_manager_refuses_is_told(graph: tuple[NodeHost, Robot], refused: str, message: str) -> None:
    host, robot = graph
    del robot.states[ARM]
    robot.refuses = {refused}
    with pytest.raises(LimitError, match=message):
        ControllerSwitch(host, FR3).take()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, None),
        ({"constraints.fr3_joint3.trajectory": 0.0, "constraints.fr3_joint3.goal": 0.0}, None),
        ({"constraints.fr3_joint3.trajectory": 0.2}, None),
        ({"interpolate_from_desired_state": False}, "expected interpolate_from_desired_state: true"),
        (
            {"constraints.fr3_joint3.goal": 0.05},
            r"constraints.fr3_joint3.goal: expected 0 \(off\) or more than .* 0.1, found 0.05",
        ),
    ],
)
def test_parameters_that_would_make_the_arm_jump_are_refused(
    graph: tuple[NodeHost, Robot], parameters: dict[str, Any], message: str | None
) -> None:
    host, robot = graph
    robot.parameters.update(parameters)
    checked = ControllerParameters(host, FR3)
    if message is None:
        checked.require_fitting()
        return
    with pytest.raises(LimitError, match=message):
        checked.require_fitting()


class TestRecovery:
    def recovery(self, host: NodeHost) -> RobotRecovery:
        found = recovery_of(host, FR3, ControllerSwitch(host, FR3))
        assert found is not None
        return found

    def test_it_is_in_the_order_of_the_driver(self, graph: tuple[NodeHost, Robot]) -> None:
        host, robot = graph
        self.recovery(host).run()
        assert robot.asked == [
            ("recover",),
            ("hardware", "FrankaHardwareInterface", "active"),
            ("switch", [ARM], [OTHER]),
        ]

    def test_it_ends_at_the_first_step_that_fails(self, graph: tuple[NodeHost, Robot]) -> None:
        host, robot = graph
        robot.refuses = {"hardware"}
        with pytest.raises(LimitError, match="'FrankaHardwareInterface' to become active"):
            self.recovery(host).run()
        robot.recovers = False
        robot.asked.clear()
        with pytest.raises(LimitError, match="expected the recovery to succeed"):
            self.recovery(host).run()
        assert robot.asked == [("recover",)]

    def test_a_robot_that_declares_none_has_none(self, graph: tuple[NodeHost, Robot]) -> None:
        host, _ = graph
        without = dataclasses.replace(FR3, recovery=None)
        assert recovery_of(host, without, ControllerSwitch(host, without)) is None
