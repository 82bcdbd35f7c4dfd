"""controllers files, and what the manager does beyond the recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from vla_core.embodiment import load_embodiment
from vla_core.errors import ConfigError
from vla_sim.controllers.forward_command import ForwardCommandController
from vla_sim.controllers.hardware import JointInterfaces
from vla_sim.controllers.manager import STRICT, ControllerManager
from vla_sim.controllers.parameters import read_controllers_file

CONFIG = Path(__file__).parents[3] / "config"
FR3 = CONFIG / "controllers" / "fr3.yaml"
JOINTS = tuple(f"fr3_joint{index}" for index in range(1, 8))


def manager(path: Path = FR3) -> ControllerManager:
    hardware = JointInterfaces(JOINTS)
    hardware.position[:] = hardware.velocity[:] = 0.0
    return ControllerManager(read_controllers_file(path), hardware)


def edited(tmp_path: Path, **changes: Any) -> Path:
    """The shipped file with some sections replaced, or removed where None is given."""
    data = yaml.safe_load(FR3.read_text())
    for name, section in changes.items():
        if section is None:
            del data["/**"][name]
        else:
            data["/**"][name]["ros__parameters"] |= section
    path = tmp_path / "controllers.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def test_the_shipped_controllers_start_and_fit_the_shipped_embodiment() -> None:
    found = manager()
    arm = load_embodiment(CONFIG / "embodiments" / "fr3.yaml")
    found.start("joint_state_broadcaster", arm.arm.name)
    assert {row.name: row.state for row in found.list_controllers()} == {
        "joint_state_broadcaster": "active",
        "fr3_arm_controller": "active",
    }
    assert tuple(name.split("/")[0] for name in found.controller(arm.arm.name).command_interfaces) == arm.joint_names
    assert found.period_ns == 1_000_000


def test_nodes_may_stand_at_the_top_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "flat.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(FR3.read_text())["/**"]))
    assert read_controllers_file(path) == read_controllers_file(FR3).__class__(
        **(vars(read_controllers_file(FR3)) | {"path": str(path)})
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"controller_manager": None}, "expected the parameters of 'controller_manager'"),
        ({"controller_manager": {"update_rate": 0}}, "controller_manager.update_rate"),
        ({"controller_manager": {"update_rate": "fast"}}, "controller_manager.update_rate"),
        ({"fr3_arm_controller": {"joints": ["fr3_joint1", "panda_joint2"]}}, "panda_joint2"),
        ({"fr3_arm_controller": {"joint": ["fr3_joint1"]}}, "joint: unknown key"),
    ],
)
def test_a_wrong_file_is_one_clear_error(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        manager(edited(tmp_path, **changes)).start("fr3_arm_controller")


def test_a_controller_of_an_unknown_type_is_known_to_the_file_and_not_loaded() -> None:
    reply = manager().load("franka_robot_state_broadcaster")
    assert not reply.ok
    assert "FrankaRobotStateBroadcaster" in reply.message


def test_an_unconfigured_controller_cannot_be_used() -> None:
    found = manager()
    found.load("fr3_arm_controller")
    with pytest.raises(ConfigError, match="expected a configured controller"):
        found.controller("fr3_arm_controller")


def test_a_controller_that_fails_is_replaced_by_its_fallback(tmp_path: Path) -> None:
    types = {
        "fr3_forward_controller": {
            "type": ForwardCommandController.type,
            "fallback_controllers": ["fr3_arm_controller"],
        }
    }
    found = manager(edited(tmp_path, controller_manager=types))
    found.start("fr3_forward_controller")
    for step in (found.load, found.configure):
        assert step("fr3_arm_controller").ok
    forward = found.controller("fr3_forward_controller")
    assert isinstance(forward, ForwardCommandController)
    forward.submit(np.zeros(3))
    found.update(0)
    states = {row.name: row.state for row in found.list_controllers()}
    assert states == {"fr3_forward_controller": "inactive", "fr3_arm_controller": "active"}


def test_a_restart_forgets_commands_and_keeps_what_is_active() -> None:
    found = manager()
    found.start("fr3_forward_controller")
    forward = found.controller("fr3_forward_controller")
    assert isinstance(forward, ForwardCommandController)
    forward.submit(np.ones(7))
    found.update(0)
    found.restart(1)
    found.update(1)
    assert np.isnan(found.hardware.command).all()
    assert found.switch((), ["fr3_forward_controller"], STRICT, 2).ok
