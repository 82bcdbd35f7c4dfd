"""Parameters of sim_node, and the robot that they describe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field as Constraint

from vla_core.embodiment import Embodiment
from vla_core.errors import ConfigError, choice
from vla_sim.controllers.parameters import read_controllers_file
from vla_sim.mock_plant import MockPlant
from vla_sim.models.robot_model import load_robot_model, shipped_model
from vla_sim.mujoco_plant import MujocoPlant
from vla_sim.plant import Plant
from vla_sim.robot import SimulatedRobot
from vla_sim.tasks import Task, load_task

CYCLE_NS = 1_000_000  # of the controllers and of the physics


@dataclass(frozen=True)
class SimParameters:
    """Parameters of sim_node."""

    embodiment: str = field(metadata={"doc": "embodiment file (YAML)"})
    controllers: str = field(metadata={"doc": "controllers file of ros2_control (YAML)"})
    task: str = field(metadata={"doc": "task file (YAML)"})
    robot: Literal["sim", "mock"] = field(
        default="sim", metadata={"doc": "sim: physics and rendered images; mock: commands mirrored, test pictures"}
    )
    model: str = field(
        default="fr3", metadata={"doc": "a shipped robot model, or the description (YAML) of another MJCF"}
    )
    seed: int = field(default=0, metadata={"doc": "seed of the first world"})
    joint_state_rate_hz: Annotated[float, Constraint(gt=0, le=1000)] = field(
        default=1000.0, metadata={"doc": "rate of the arm's joint states [Hz]"}
    )
    participants: tuple[str, ...] = field(
        default=(), metadata={"doc": "in lockstep: nodes that must take part before time goes on"}
    )
    trace: str = field(
        default="", metadata={"doc": "folder for what was commanded at 1 kHz, a file per reset; empty: none"}
    )


def build_robot(
    parameters: SimParameters, embodiment: Embodiment, now_ns: Callable[[], int]
) -> tuple[SimulatedRobot, Task]:
    """The simulated robot with its controllers running, in the first world.

    Args:
        parameters: of the node.
        embodiment: of the robot.
        now_ns: tells the time; asked when everything slow has been done, so that simulated time is not behind at once.

    Raises:
        ConfigError: one of the files is wrong, or the model does not have the embodiment's joints and cameras.
        SimulationError: this machine cannot render.
    """
    task = load_task(Path(parameters.task))
    controllers = read_controllers_file(Path(parameters.controllers))
    plant = _plant(parameters, embodiment, task)
    for role, camera in embodiment.cameras.items():
        plant.render(role, camera.width, camera.height)  # the first image takes most of a second
    start_ns = now_ns() // CYCLE_NS * CYCLE_NS
    robot = SimulatedRobot(plant, controllers, task.world(parameters.seed), start_ns)
    robot.start("joint_state_broadcaster", embodiment.arm.name)
    return robot, task


def _plant(parameters: SimParameters, embodiment: Embodiment, task: Task) -> Plant:
    if parameters.robot == "mock":
        return MockPlant(embodiment.joint_names, tuple(embodiment.cameras))
    named = parameters.model.endswith((".yaml", ".yml"))
    model = load_robot_model(parameters.model) if named else shipped_model(parameters.model)
    if model.joint_names != embodiment.joint_names:
        raise ConfigError(
            f"robot model '{model.name}': expected the joints of '{embodiment.name}', {list(embodiment.joint_names)}, "
            f"found {list(model.joint_names)}"
        )
    missing = [role for role in embodiment.cameras if role not in model.cameras]
    if missing:
        raise ConfigError(
            f"embodiment '{embodiment.name}': cameras: expected {choice(model.cameras)} of the robot model, found {missing}"
        )
    return MujocoPlant(model, task.objects())
