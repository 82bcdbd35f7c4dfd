"""The arm's controller: taken when arming, checked, and given back after disarming, through controller_manager."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rcl_interfaces.msg import ParameterType
from rcl_interfaces.srv import GetParameters

from controller_manager_msgs.srv import ConfigureController, ListControllers, LoadController, SwitchController
from vla_core.embodiment import Embodiment
from vla_core.errors import LimitError
from vla_ros.calls import call
from vla_ros.host import NodeHost

_MANAGER = "/controller_manager"
_WITHIN_S = 5.0
_SWITCH_S = 2


class ControllerSwitch:
    """Activates the arm's controller in place of those that have its joints, and puts those back afterwards.

    Every method waits for answers: none is for the loop.

    Args:
        host: of the node.
        embodiment: names the controller.
    """

    def __init__(self, host: NodeHost, embodiment: Embodiment) -> None:
        self._name = embodiment.arm.name
        self._list = host.client(ListControllers, f"{_MANAGER}/list_controllers")
        self._load = host.client(LoadController, f"{_MANAGER}/load_controller")
        self._configure = host.client(ConfigureController, f"{_MANAGER}/configure_controller")
        self._switch = host.client(SwitchController, f"{_MANAGER}/switch_controller")
        self._activated = False
        self._displaced: list[str] = []

    def take(self) -> None:
        """Makes the arm's controller active: loads and configures it if need be, and switches strictly.

        Raises:
            CallError: controller_manager is not there.
            LimitError: it refused.
        """
        rows = self._rows()
        if self._name not in rows:
            self._require(call(self._load, LoadController.Request(name=self._name), _WITHIN_S), "be loaded")
            rows = self._rows()
        if rows[self._name].state == "unconfigured":
            self._require(
                call(self._configure, ConfigureController.Request(name=self._name), _WITHIN_S), "be configured"
            )
            rows = self._rows()
        mine = rows[self._name]
        if mine.state == "active":
            return
        needed = set(mine.required_command_interfaces)
        self._displaced = [name for name, row in rows.items() if needed & set(row.claimed_interfaces)]
        self._change([self._name], self._displaced)
        self._activated = True

    def give_back(self) -> None:
        """Puts things back as they were before :meth:`take`. The arm must stand."""
        if self._activated:
            self._activated = False
            self._change(self._displaced, [self._name])

    def _rows(self) -> Mapping[str, Any]:
        answer = call(self._list, ListControllers.Request(), _WITHIN_S)
        return {row.name: row for row in answer.controller}

    def _change(self, activate: list[str], deactivate: list[str]) -> None:
        request = SwitchController.Request(
            activate_controllers=activate,
            deactivate_controllers=deactivate,
            strictness=SwitchController.Request.STRICT,
            activate_asap=True,
        )
        request.timeout.sec = _SWITCH_S
        answer = call(self._switch, request, _WITHIN_S)
        if not answer.ok:
            why = getattr(answer, "message", "") or "no reason given"
            raise LimitError(f"controller_manager: expected to activate {activate} for {deactivate}, found: {why}")

    def _require(self, answer: Any, what: str) -> None:
        if not answer.ok:
            raise LimitError(f"expected the controller '{self._name}' to {what}, found that controller_manager refused")


class ControllerParameters:
    """Reads the parameters of a joint_trajectory_controller that our plans depend on.

    A plan that leaves the one before must go on from what was commanded, not from what was measured, and the controller must not
    give up the path before this side does: it would command the measured position from one cycle to the next.

    Args:
        host: of the node.
        embodiment: names the controller, and how far the arm may be from where it should be.
    """

    def __init__(self, host: NodeHost, embodiment: Embodiment) -> None:
        self._controller = embodiment.arm.name
        self._least = embodiment.safety.max_tracking_error
        self._joints = embodiment.joint_names
        self._get = host.client(GetParameters, f"/{self._controller}/get_parameters")

    def require_fitting(self) -> None:
        """Not for the loop.

        Raises:
            CallError: the controller has no parameters.
            LimitError: one of them does not fit, with what was expected and found.
        """
        tolerances = [f"constraints.{joint}.{kind}" for joint in self._joints for kind in ("trajectory", "goal")]
        names = ["interpolate_from_desired_state", *tolerances]
        answer = call(self._get, GetParameters.Request(names=names), _WITHIN_S)
        values = dict(zip(names, (_plain(value) for value in answer.values), strict=False))
        if values.get("interpolate_from_desired_state") is not True:
            raise LimitError(
                f"{self._controller}: expected interpolate_from_desired_state: true, so that a plan goes on from what was "
                f"commanded, found {values.get('interpolate_from_desired_state')}"
            )
        for name in tolerances:
            value = values.get(name)
            if isinstance(value, (int, float)) and 0.0 < value <= self._least:
                raise LimitError(
                    f"{self._controller}: {name}: expected 0 (off) or more than the embodiment's "
                    f"safety.max_tracking_error, {self._least}, found {value}"
                )


def _plain(value: Any) -> bool | float | None:
    if value.type == ParameterType.PARAMETER_BOOL:
        return bool(value.bool_value)
    if value.type == ParameterType.PARAMETER_DOUBLE:
        return float(value.double_value)
    return float(value.integer_value) if value.type == ParameterType.PARAMETER_INTEGER else None
