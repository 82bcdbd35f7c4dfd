"""A simulated robot for the tests: physics takes a moment to build, so one is shared and reset."""

from __future__ import annotations

from pathlib import Path

import pytest

from vla_core.embodiment import JointLimits, load_embodiment
from vla_sim.controllers.parameters import ControllersFile, read_controllers_file
from vla_sim.models import RobotModel, shipped_model
from vla_sim.mujoco_plant import MujocoPlant
from vla_sim.robot import SimulatedRobot
from vla_sim.tasks.pick_place import PickPlace

CONFIG = Path(__file__).parents[3] / "config"
START_NS = 1_000_000_000


@pytest.fixture(scope="session")
def fr3() -> RobotModel:
    return shipped_model("fr3")


@pytest.fixture(scope="session")
def task() -> PickPlace:
    return PickPlace.load(CONFIG / "tasks" / "pick_place.yaml")


@pytest.fixture(scope="session")
def controllers() -> ControllersFile:
    return read_controllers_file(CONFIG / "controllers" / "fr3.yaml")


@pytest.fixture(scope="session")
def limits() -> JointLimits:
    return JointLimits.of(load_embodiment(CONFIG / "embodiments" / "fr3.yaml"))


@pytest.fixture(scope="session")
def plant(fr3: RobotModel, task: PickPlace) -> MujocoPlant:
    return MujocoPlant(fr3, task.objects())


@pytest.fixture
def robot(plant: MujocoPlant, controllers: ControllersFile, task: PickPlace) -> SimulatedRobot:
    made = SimulatedRobot(plant, controllers, task.world(0), START_NS)
    made.start("joint_state_broadcaster", "fr3_arm_controller")
    return made
