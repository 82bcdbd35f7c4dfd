"""controller_manager: loads, configures and switches controllers, shares out the command interfaces, and runs the cycles.

Source of the rules: ros2_control 4.46, ``ControllerManager``. Controllers are not chained, and none runs asynchronously.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from vla_core.errors import ConfigError, choice
from vla_sim.controllers.hardware import JointInterfaces
from vla_sim.controllers.parameters import ControllersFile
from vla_sim.controllers.plugins import PLUGINS, Controller

_log = logging.getLogger(__name__)

BEST_EFFORT = 1
STRICT = 2


@dataclass(frozen=True)
class Reply:
    """Answer of a service: whether it was done, and why not or what was done."""

    ok: bool
    message: str = ""


@dataclass(frozen=True)
class ControllerInfo:
    """A row of list_controllers: the fields of controller_manager_msgs/msg/ControllerState that are not constant here."""

    name: str
    state: str
    """``unconfigured``, ``inactive`` or ``active``"""
    type: str
    claimed_interfaces: tuple[str, ...]
    required_command_interfaces: tuple[str, ...]
    required_state_interfaces: tuple[str, ...]


@dataclass
class _Loaded:
    """A loaded controller; ``controller`` is None until it is configured."""

    type: str
    controller: Controller | None = None

    @property
    def state(self) -> str:
        if self.controller is None:
            return "unconfigured"
        return "active" if self.controller.active else "inactive"


@dataclass
class _Request:
    """A switch while it is being checked: what is left of the two lists."""

    activate: list[str]
    deactivate: list[str]
    problems: list[str] = field(default_factory=list)


class ControllerManager:
    """Runs the controllers of one robot.

    Args:
        file: controllers and their parameters, as read from the YAML.
        hardware: the joints' interfaces.
    """

    def __init__(self, file: ControllersFile, hardware: JointInterfaces) -> None:
        self.file = file
        self.hardware = hardware
        self.period_ns = 1_000_000_000 // file.update_rate_hz
        self._loaded: dict[str, _Loaded] = {}
        self._active: list[Controller] = []

    def start(self, *names: str, time_ns: int = 0) -> None:
        """Loads, configures and activates controllers, as a spawner does.

        Raises:
            ConfigError: one of the steps failed.
        """
        for name in names:
            for reply in (self.load(name), self.configure(name)):
                if not reply.ok:
                    raise ConfigError(f"{self.file.path}: {reply.message}")
        reply = self.switch(names, (), STRICT, time_ns)
        if not reply.ok:
            raise ConfigError(f"{self.file.path}: {reply.message}")

    def controller(self, name: str) -> Controller:
        """A configured controller.

        Raises:
            ConfigError: there is none of this name.
        """
        entry = self._loaded.get(name)
        if entry is None or entry.controller is None:
            known = [name for name, other in self._loaded.items() if other.controller is not None]
            raise ConfigError(f"expected a configured controller, {choice(known)}, found '{name}'")
        return entry.controller

    def list_controllers(self) -> tuple[ControllerInfo, ...]:
        """All loaded controllers, the newest first."""
        return tuple(self._info(name, entry) for name, entry in reversed(self._loaded.items()))

    def load(self, name: str) -> Reply:
        """Makes a controller known by the type that the file gives it."""
        if name in self._loaded:
            return Reply(False, f"controller '{name}' is loaded already")
        kind = self.file.types.get(name)
        if kind is None:
            return Reply(False, f"expected a type for '{name}' among the manager's parameters, found none")
        if kind not in PLUGINS:
            return Reply(False, f"controller '{name}': expected the type {choice(PLUGINS)}, found '{kind}'")
        self._loaded[name] = _Loaded(kind)
        return Reply(True)

    def configure(self, name: str) -> Reply:
        """Reads the controller's parameters. An inactive controller is configured anew."""
        entry = self._loaded.get(name)
        if entry is None:
            return Reply(False, f"no controller '{name}' is loaded")
        if entry.state == "active":
            return Reply(False, f"controller '{name}' can not be configured while it is 'active'")
        where = f"{self.file.path}: {name}"
        try:
            parameters = self.file.parameters.get(name, {})
            entry.controller = PLUGINS[entry.type](name, parameters, where, self.hardware, self.period_ns)
        except ConfigError as error:
            entry.controller = None
            return Reply(False, str(error))
        return Reply(True)

    def unload(self, name: str) -> Reply:
        """Forgets a controller that is not active."""
        if name not in self._loaded:
            return Reply(False, f"no controller '{name}' is loaded")
        if self._loaded[name].state == "active":
            return Reply(False, f"controller '{name}' is still active")
        del self._loaded[name]
        return Reply(True)

    def switch(self, activate: Iterable[str], deactivate: Iterable[str], strictness: int, time_ns: int) -> Reply:
        """Deactivates and activates controllers between two cycles.

        With STRICT nothing is switched if anything is wrong; every other value counts as BEST_EFFORT, which leaves out
        unknown, already active and already inactive controllers. An interface in use is refused with either.
        """
        strict = strictness == STRICT
        request = _Request(list(activate), list(deactivate))
        checks: tuple[Callable[[_Request], bool], ...] = (self._check_known, self._check_states, self._check_interfaces)
        for check in checks:
            fatal = check(request)
            if request.problems and (strict or fatal):
                return Reply(False, request.problems[0])
            request.problems.clear()
        if not request.activate and not request.deactivate:
            return Reply(True, "no controller has to be activated or deactivated")
        for name in dict.fromkeys(request.deactivate):
            self._deactivate(self.controller(name))
        for name in dict.fromkeys(request.activate):
            self._activate(self.controller(name), time_ns)
        lists = f": deactivated {request.deactivate}, activated {request.activate}"
        return Reply(True, "controllers switched" + ("" if strict else lists))

    def update(self, time_ns: int) -> None:
        """One cycle of all active controllers. One that fails is deactivated, and its fallback controllers are activated."""
        failed = [controller for controller in self._active if not controller.update(time_ns, self.period_ns)]
        for controller in failed:
            _log.error("%s: its update failed: deactivated", controller.name)
            self._deactivate(controller)
            fallbacks = self.file.fallbacks.get(controller.name, ())
            if fallbacks:
                self.switch(fallbacks, (), BEST_EFFORT, time_ns)

    def restart(self, time_ns: int) -> None:
        """Deactivates and activates anew whatever is active, with no command in the interfaces: the world was reset."""
        active = list(self._active)
        for controller in active:
            self._deactivate(controller)
        self.hardware.command[:] = float("nan")
        for controller in active:
            self._activate(controller, time_ns)

    @property
    def active(self) -> Sequence[Controller]:
        return self._active

    def _activate(self, controller: Controller, time_ns: int) -> None:
        controller.activate(time_ns)
        self._active.append(controller)

    def _deactivate(self, controller: Controller) -> None:
        controller.deactivate()
        self._active.remove(controller)

    def _check_known(self, request: _Request) -> bool:
        """Drops unknown names; fatal if a list names only unknown ones."""
        fatal = False
        for names in (request.deactivate, request.activate):
            unknown = [name for name in names if name not in self._loaded]
            request.problems += [f"no controller '{name}' is loaded" for name in unknown]
            fatal = fatal or bool(unknown and len(unknown) == len(names))
            names[:] = [name for name in names if name in self._loaded]
        return fatal

    def _check_states(self, request: _Request) -> bool:
        """Drops what cannot be activated or deactivated from the state it is in; never fatal."""
        for name in list(request.activate):
            state = self._loaded[name].state
            if state == "unconfigured" or (state == "active" and name not in request.deactivate):
                request.problems.append(f"controller '{name}' can not be activated: it is '{state}'")
                request.activate.remove(name)
        for name in list(request.deactivate):
            state = self._loaded[name].state
            if state != "active":
                request.problems.append(f"controller '{name}' can not be deactivated: it is '{state}'")
                request.deactivate.remove(name)
        return False

    def _check_interfaces(self, request: _Request) -> bool:
        """Refuses the whole switch if an interface is missing or would have two owners."""
        released = {interface for name in request.deactivate for interface in self.controller(name).command_interfaces}
        claimed = {interface for controller in self._active for interface in controller.command_interfaces} - released
        wanted: set[str] = set()
        for controller in (self.controller(name) for name in request.activate if name not in request.deactivate):
            for interface in controller.command_interfaces:
                problem = None
                if interface not in self.hardware.command_interfaces:
                    problem = "does not exist"
                elif interface in claimed:
                    problem = "is claimed by another controller"
                elif interface in wanted:
                    problem = "is wanted twice in this request"
                if problem:
                    request.problems.append(
                        f"controller '{controller.name}': command interface '{interface}' {problem}"
                    )
                wanted.add(interface)
            missing = [name for name in controller.state_interfaces if name not in self.hardware.state_interfaces]
            request.problems += [f"controller '{controller.name}': no state interface '{name}'" for name in missing]
        return bool(request.problems)

    def _info(self, name: str, entry: _Loaded) -> ControllerInfo:
        controller = entry.controller
        if controller is None:
            return ControllerInfo(name, entry.state, entry.type, (), (), ())
        claimed = controller.command_interfaces if controller.active else ()
        required = controller.command_interfaces, controller.state_interfaces
        return ControllerInfo(name, entry.state, entry.type, claimed, *required)
