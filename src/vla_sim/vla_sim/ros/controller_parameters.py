"""The parameters of the simulated controllers, as their nodes answer for them: ``<controller>/get_parameters``."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from typing import Any

from rcl_interfaces.msg import ParameterType, ParameterValue
from rcl_interfaces.srv import GetParameters

from vla_core import config
from vla_core.errors import ConfigError
from vla_ros.host import NodeHost
from vla_sim.robot import SimulatedRobot


class ControllerParameterServices:
    """Offers the service of every controller of the file.

    Args:
        host: of the simulator's node.
        robot: has the controllers.
    """

    def __init__(self, host: NodeHost, robot: SimulatedRobot) -> None:
        self._robot = robot
        for name in robot.manager.file.types:
            host.service(GetParameters, f"/{name}/get_parameters", self._handler(name))

    def _handler(self, name: str) -> Any:
        def handle(request: GetParameters.Request, response: GetParameters.Response) -> GetParameters.Response:
            known = dict(_flat("", self._parameters(name)))
            response.values = [_value(known.get(wanted)) for wanted in request.names]
            return response

        return handle

    def _parameters(self, name: str) -> Mapping[str, Any]:
        try:
            controller = self._robot.manager.controller(name)
        except ConfigError:
            return {}
        return config.to_mapping(controller.parameters)


def _flat(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Nested parameters as ROS names them, ``a.b.c``; those of joints stand beside the others of ``constraints`` there."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(prefix if prefix + key == "constraints.joints" else f"{prefix}{key}.", value)
        else:
            yield prefix + key, value


def _value(value: Any) -> ParameterValue:
    """A parameter's value; one that is not set has no type, as in rclcpp."""
    if isinstance(value, bool):
        return ParameterValue(type=ParameterType.PARAMETER_BOOL, bool_value=value)
    if isinstance(value, int):
        return ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=value)
    if isinstance(value, float):
        return ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=value)
    if isinstance(value, str):
        return ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=value)
    if isinstance(value, (list, tuple, array)):
        texts = [str(entry) for entry in value]
        return ParameterValue(type=ParameterType.PARAMETER_STRING_ARRAY, string_array_value=texts)
    return ParameterValue(type=ParameterType.PARAMETER_NOT_SET)
