"""The simulated controller_manager and forward_command_controller do what the real ones did (ros2_control 4.46, Jazzy).

Recordings in test/data/jtc: service calls in the order in which they were sent, and joint states of mock hardware, which
takes a written position over in the next cycle.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vla_sim.controllers.forward_command import ForwardCommandController
from vla_sim.controllers.hardware import JointInterfaces
from vla_sim.controllers.manager import STRICT, ControllerManager, Reply
from vla_sim.controllers.parameters import ControllersFile

DATA = Path(__file__).parents[3] / "test" / "data" / "jtc"
JOINTS = tuple(f"fr3_joint{index}" for index in range(1, 8))
EXCHANGES: list[dict[str, Any]] = json.loads((DATA / "controller_manager.json").read_text())
FORWARD_CASES = {
    name: case for name, case in json.loads((DATA / "cases.json").read_text()).items() if name.startswith("fcc_")
}

FORWARD = {"joints": list(JOINTS), "interface_name": "position"}
FILE = ControllersFile(
    path="controllers.yaml",
    update_rate_hz=1000,
    types={
        "fr3_arm_controller": "joint_trajectory_controller/JointTrajectoryController",
        "position_controller": "forward_command_controller/ForwardCommandController",
        "second_position_controller": "forward_command_controller/ForwardCommandController",
        "joint_state_broadcaster": "joint_state_broadcaster/JointStateBroadcaster",
    },
    fallbacks={},
    parameters={
        "position_controller": FORWARD,
        "second_position_controller": FORWARD,
        "fr3_arm_controller": {
            "joints": list(JOINTS),
            "command_interfaces": ["position"],
            "state_interfaces": ["position", "velocity"],
        },
    },
)


@pytest.fixture(scope="module")
def manager() -> ControllerManager:
    hardware = JointInterfaces(JOINTS, ("position", "velocity"))
    hardware.position[:] = 0.0
    hardware.velocity[:] = 0.0
    found = ControllerManager(FILE, hardware)
    found.start("joint_state_broadcaster")
    for name in ("fr3_arm_controller", "position_controller", "second_position_controller"):
        assert found.load(name).ok
        assert found.configure(name).ok
    return found


def call(manager: ControllerManager, exchange: dict[str, Any]) -> Reply:
    request = exchange["request"]
    if exchange["service"] == "switch_controller":
        lists = request["activate_controllers"], request["deactivate_controllers"]
        return manager.switch(*lists, request["strictness"], time_ns=0)
    services = {
        "load_controller": manager.load,
        "configure_controller": manager.configure,
        "unload_controller": manager.unload,
    }
    return services[exchange["service"]](request["name"])


def states(manager: ControllerManager) -> dict[str, str]:
    return {row.name: row.state for row in manager.list_controllers()}


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.get("note", exchange["service"]))
def test_services_answer_as_the_real_ones_did(manager: ControllerManager, exchange: dict[str, Any]) -> None:
    if exchange["service"] == "list_controllers":
        found = {row.name: row for row in manager.list_controllers()}
        for wanted in exchange["response"]:
            row = found[wanted["name"]]
            assert (row.state, row.type) == (wanted["state"], wanted["type"])
            assert list(row.claimed_interfaces) == wanted["claimed_interfaces"]
            assert list(row.required_command_interfaces) == wanted["required_command_interfaces"]
            assert sorted(row.required_state_interfaces) == wanted["required_state_interfaces"]
        return
    if "before" in exchange:  # between the groups of requests the recording set the states it needed
        now = states(manager)
        stop = [name for name, state in exchange["before"].items() if state == "inactive" and now[name] == "active"]
        start = [name for name, state in exchange["before"].items() if state == "active" and now[name] == "inactive"]
        assert manager.switch(start, stop, STRICT, time_ns=0).ok
        assert states(manager) == exchange["before"]
    if exchange["note"].startswith("inactive"):
        manager.switch((), [exchange["request"]["name"]], strictness=1, time_ns=0)
    reply = call(manager, exchange)
    assert reply.ok == exchange["ok"]
    if "after" in exchange:
        assert states(manager) == exchange["after"]
        assert all(name in reply.message for name in exchange["names"])
    if not reply.ok:
        assert exchange["request"].get("name", "'") in reply.message


@pytest.mark.parametrize("name", sorted(FORWARD_CASES))
def test_forward_commands_move_the_joints_as_they_did(name: str) -> None:
    case = FORWARD_CASES[name]
    with np.load(DATA / "samples.npz") as arrays:
        times_ns, wanted = arrays[f"{name}/t_ns"], arrays[f"{name}/position"]
    hardware = JointInterfaces(JOINTS, ("position", "velocity"))
    hardware.position[:] = case["home"]
    manager = ControllerManager(FILE, hardware)
    manager.start("position_controller")
    controller = manager.controller("position_controller")
    assert isinstance(controller, ForwardCommandController)
    waiting = list(case["commands"])
    for t_ns, position in zip(times_ns.tolist(), wanted, strict=True):
        while waiting and first_use_ns(waiting[0]) <= t_ns:
            assert controller.submit(np.array(waiting[0]["data"], float)) == ("NaN" not in waiting[0]["data"])
            manager.update(t_ns)
            written = ~np.isnan(hardware.command)
            hardware.position[written] = hardware.command[written]
            waiting.pop(0)
        manager.update(t_ns)
        assert hardware.position == pytest.approx(position, abs=1e-12), t_ns
    assert not waiting
    assert states(manager)["position_controller"] == case["controller_state_after"]


def first_use_ns(command: dict[str, Any]) -> int:
    """When joint_states first showed it; for a command that was not taken over, any time soon after it was published."""
    seen = command["first_seen_in_joint_states"]
    return round((command["published_at"] + 0.002 if seen is None else seen) * 1e9)


def test_nothing_is_written_before_a_command_and_silence_holds_the_last_one() -> None:
    hardware = JointInterfaces(JOINTS)
    manager = ControllerManager(FILE, hardware)
    manager.start("position_controller")
    controller = manager.controller("position_controller")
    assert isinstance(controller, ForwardCommandController)
    manager.update(0)
    assert np.isnan(hardware.command).all()
    controller.submit(np.arange(7.0))
    for cycle in range(3):
        manager.update(cycle)
        assert (hardware.command == np.arange(7.0)).all()
    assert controller.submit(np.empty(0))
    manager.update(4)
    assert (hardware.command == np.arange(7.0)).all()
    assert states(manager)["position_controller"] == "active"
