"""Parameters of the controllers, read from the same YAML file that a real controller_manager loads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field as Constraint

from vla_core import config
from vla_core.errors import ConfigError

NotNegative = Annotated[float, Constraint(ge=0)]
Joints = Annotated[tuple[str, ...], Constraint(min_length=1)]
StateInterface = Literal["position", "velocity"]

_CONSTRAINT_KEYS = ("stopped_velocity_tolerance", "goal_time", "decelerate_on_cancel")


@dataclass(frozen=True)
class JointConstraints:
    """Tolerances of one joint; 0 means that nothing is checked [rad or m; rad/s^2 or m/s^2]."""

    trajectory: NotNegative = 0.0
    goal: NotNegative = 0.0
    max_deceleration_on_cancel: NotNegative = 0.0


@dataclass(frozen=True)
class Constraints:
    """``constraints`` of joint_trajectory_controller, the joints' own under ``joints``.

    ``stopped_velocity_tolerance`` is compared by the real controller only if it commands velocity or effort: here never.
    """

    stopped_velocity_tolerance: NotNegative = 0.01
    goal_time: NotNegative = 0.0
    """how long after the end the goal tolerance may still be missed; 0: for ever [s]"""
    decelerate_on_cancel: bool = False
    joints: Mapping[str, JointConstraints] = field(default_factory=dict)


@dataclass(frozen=True)
class JointTrajectoryParameters:
    """Parameters of joint_trajectory_controller that mean something with a position command interface.

    The defaults are the real controller's. ``gains``, ``action_monitor_rate`` and ``state_publish_rate`` are accepted, so that
    the file of a real robot can be read, and change nothing here.
    """

    joints: Joints
    command_interfaces: tuple[Literal["position"]]
    state_interfaces: Annotated[tuple[StateInterface, ...], Constraint(min_length=1)]
    allow_partial_joints_goal: bool = False
    interpolate_from_desired_state: bool = False
    allow_nonzero_velocity_at_trajectory_end: bool = False
    allow_integration_in_goal_trajectories: Literal[False] = False
    set_last_command_interface_value_as_state_on_activation: bool = True
    interpolation_method: Literal["splines", "none"] = "splines"
    cmd_timeout: NotNegative = 0.0
    """after the end of a trajectory, when to hold the measured position instead; 0: never [s]"""
    constraints: Constraints = Constraints()
    gains: Mapping[str, Any] = field(default_factory=dict)
    action_monitor_rate: float = 20.0
    state_publish_rate: float = 50.0


@dataclass(frozen=True)
class ForwardCommandParameters:
    """Parameters of forward_command_controller."""

    joints: Joints
    interface_name: Literal["position"]


@dataclass(frozen=True)
class BroadcasterParameters:
    """Parameters of joint_state_broadcaster that matter here: none of them has to be given."""

    joints: tuple[str, ...] = ()
    interfaces: tuple[str, ...] = ()
    extra_joints: tuple[str, ...] = ()
    use_local_topics: bool = False


@dataclass(frozen=True)
class ControllersFile:
    """A controllers file: what controller_manager knows before it loads anything.

    Attributes:
        path: where it was read, for errors.
        update_rate_hz: cycles of read, update and write per second.
        types: controller name to plugin type, for example ``joint_trajectory_controller/JointTrajectoryController``.
        fallbacks: controller name to the controllers that are activated when its update fails.
        parameters: controller name to its ``ros__parameters``.
    """

    path: str
    update_rate_hz: int
    types: Mapping[str, str]
    fallbacks: Mapping[str, tuple[str, ...]]
    parameters: Mapping[str, Mapping[str, Any]]


def read_controllers_file(path: Path | str) -> ControllersFile:
    """Reads a controllers YAML.

    Raises:
        ConfigError: unreadable, no controller_manager in it, or no whole positive update rate.
    """
    nodes = _nodes(config.read_yaml(Path(path)), str(path))
    if "controller_manager" not in nodes:
        raise ConfigError(f"{path}: expected the parameters of 'controller_manager', found those of {sorted(nodes)}")
    manager = nodes.pop("controller_manager")
    rate = manager.get("update_rate")
    if not isinstance(rate, int) or rate <= 0 or 1_000_000_000 % rate:
        raise ConfigError(
            f"{path}: controller_manager.update_rate: expected a rate whose period is whole ns, found {rate!r}"
        )
    entries = {name: value for name, value in manager.items() if isinstance(value, dict) and "type" in value}
    return ControllersFile(
        path=str(path),
        update_rate_hz=rate,
        types={name: str(entry["type"]) for name, entry in entries.items()},
        fallbacks={name: tuple(entry.get("fallback_controllers", ())) for name, entry in entries.items()},
        parameters=nodes,
    )


def joint_trajectory_parameters(parameters: Mapping[str, Any], where: str) -> JointTrajectoryParameters:
    """Raises ConfigError for every key that is wrong, missing or unknown, and for constraints of unknown joints."""
    data = dict(parameters)
    constraints = data.get("constraints", {})
    if isinstance(constraints, dict):  # joints stand beside the other keys there
        joints = {key: value for key, value in constraints.items() if key not in _CONSTRAINT_KEYS}
        data["constraints"] = {key: constraints[key] for key in _CONSTRAINT_KEYS if key in constraints} | {
            "joints": joints
        }
    read = config.from_mapping(JointTrajectoryParameters, data, where)
    unknown = [name for name in read.constraints.joints if name not in read.joints]
    if unknown:
        raise ConfigError(f"{where}: constraints: expected joints out of {list(read.joints)}, found {unknown}")
    if "position" not in read.state_interfaces:
        raise ConfigError(
            f"{where}: state_interfaces: expected 'position' among them, found {list(read.state_interfaces)}"
        )
    return read


def forward_command_parameters(parameters: Mapping[str, Any], where: str) -> ForwardCommandParameters:
    """Raises ConfigError for every key that is wrong, missing or unknown."""
    return config.from_mapping(ForwardCommandParameters, dict(parameters), where)


def broadcaster_parameters(parameters: Mapping[str, Any], where: str) -> BroadcasterParameters:
    """Raises ConfigError for every key that is wrong or unknown."""
    return config.from_mapping(BroadcasterParameters, dict(parameters), where)


def _nodes(data: Mapping[str, Any], where: str) -> dict[str, dict[str, Any]]:
    """Node name to parameters, whether or not the nodes stand under the wildcard namespace ``/**``."""
    nodes: dict[str, dict[str, Any]] = {}
    for key, value in data.items():
        inner = value if key == "/**" else {key.lstrip("/"): value}
        for name, section in (inner or {}).items():
            if not isinstance(section, dict) or not isinstance(section.get("ros__parameters"), dict):
                raise ConfigError(
                    f"{where}: {name}: expected a mapping with the key 'ros__parameters', found {section!r}"
                )
            nodes[name] = section["ros__parameters"]
    return nodes
