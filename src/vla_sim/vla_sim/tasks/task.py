"""The port of a task, and the table of tasks by the name in their configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from vla_core import config
from vla_core.errors import ConfigError, choice
from vla_sim.models.objects import SceneObject
from vla_sim.plant import Pose, World


class SuccessTest(Protocol):
    """Watches one episode."""

    def update(self, time_ns: int, objects: Mapping[str, Pose], finger_position: float) -> bool:
        """Takes the world at a time, later than the one before. Returns whether the task is done now.

        Args:
            time_ns: simulated time.
            objects: name to pose.
            finger_position: mean of the two fingers [m].
        """
        ...


class Task(Protocol):
    """What is to be done."""

    @property
    def name(self) -> str: ...

    @property
    def prompt(self) -> str:
        """The language instruction."""
        ...

    def objects(self) -> Sequence[SceneObject]:
        """What lies on the table, for :class:`vla_sim.mujoco_plant.MujocoPlant`."""
        ...

    def world(self, seed: int) -> World:
        """Where everything begins; the same for the same seed."""
        ...

    def success_test(self) -> SuccessTest:
        """A new one, for one episode."""
        ...


def load_task(path: Path | str) -> Task:
    """Reads a task from YAML; its key ``name`` says which.

    Raises:
        ConfigError: an unknown task, or wrong, missing or unknown keys.
    """
    from vla_sim.tasks.pick_place import PickPlace  # it needs the values above

    makers = {"pick_place": PickPlace.load}
    name = config.read_yaml(Path(path)).get("name")
    if name not in makers:
        raise ConfigError(f"{path}: name: expected {choice(makers)}, found '{name}'")
    return makers[name](Path(path))
