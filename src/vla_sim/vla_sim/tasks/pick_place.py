"""Pick a cube up and put it down on a mark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field as Constraint

from vla_core import config
from vla_core.embodiment.schema import Range
from vla_core.errors import ConfigError
from vla_sim.models.objects import Box, Colour, Disc
from vla_sim.plant import Pose, World

CUBE, MARK = "cube", "mark"

Positive = Annotated[float, Constraint(gt=0)]
NotNegative = Annotated[float, Constraint(ge=0)]

_TRIES = 10_000
_MARK_HEIGHT = 0.0005  # [m] so that the table does not shine through it


@dataclass(frozen=True)
class Home:
    """Where the arm begins."""

    arm_position: tuple[float, ...]
    """[rad]"""
    finger_position: NotNegative
    """[m]"""
    spread: NotNegative = 0.0
    """each joint begins up to this far from ``arm_position``, either side, evenly distributed [rad]"""


@dataclass(frozen=True)
class Cube:
    """The cube, and where it may lie: its middle [m], turned by ``yaw`` [rad]."""

    edge: Positive
    mass: Positive
    rgba: Colour
    x: Range
    y: Range
    yaw: Range


@dataclass(frozen=True)
class Mark:
    """The round mark, and where its middle may lie [m]."""

    radius: Positive
    rgba: Colour
    x: Range
    y: Range


@dataclass(frozen=True)
class Success:
    """When the cube counts as put on the mark."""

    distance: Positive
    """of the middle of the cube from the middle of the mark, seen from above, at most [m]"""
    open_above: Positive
    """the fingers are open beyond this position [m]"""
    height_error: Positive = 0.005
    """of the cube's middle above half its edge, at most [m]"""
    speed: Positive = 0.01
    """of the cube, at most [m/s]"""
    hold_s: NotNegative = 0.3
    """for how long all that must hold [s]"""


@dataclass(frozen=True)
class PickPlaceConfig:
    """config/tasks/pick_place.yaml."""

    schema: Literal["vla/task/1"]
    name: Literal["pick_place"]
    prompt: Annotated[str, Constraint(min_length=1)]
    home: Home
    cube: Cube
    mark: Mark
    least_distance: NotNegative
    """between the middles of cube and mark at the beginning [m]"""
    success: Success


class PickPlace:
    """The task; see :class:`vla_sim.tasks.task.Task`."""

    def __init__(self, settings: PickPlaceConfig) -> None:
        self.settings = settings
        self.name = settings.name
        self.prompt = settings.prompt

    @staticmethod
    def load(path: Path) -> PickPlace:
        """Raises ConfigError for wrong, missing or unknown keys."""
        return PickPlace(config.load(PickPlaceConfig, path))

    def objects(self) -> tuple[Box, Disc]:
        cube, mark = self.settings.cube, self.settings.mark
        return Box(CUBE, cube.edge, cube.mass, cube.rgba), Disc(MARK, mark.radius, mark.rgba)

    def world(self, seed: int) -> World:
        """Cube and mark at random places apart from each other, the arm near home.

        Raises:
            ConfigError: the ranges leave no place for them so far apart.
        """
        random = np.random.default_rng(seed)
        home, cube, mark = self.settings.home, self.settings.cube, self.settings.mark
        for _ in range(_TRIES):
            cube_at, mark_at = _place(random, cube.x, cube.y), _place(random, mark.x, mark.y)
            if np.hypot(*(cube_at - mark_at)) >= self.settings.least_distance:
                break
        else:
            expected = f"ranges in which cube and mark can be {self.settings.least_distance} m apart"
            raise ConfigError(f"task '{self.name}': expected {expected}, found none in {_TRIES} tries")
        yaw = float(random.uniform(cube.yaw.min, cube.yaw.max))
        spread = random.uniform(-home.spread, home.spread, len(home.arm_position))
        poses = {
            CUBE: Pose.at(cube_at[0], cube_at[1], cube.edge / 2, yaw),
            MARK: Pose.at(mark_at[0], mark_at[1], _MARK_HEIGHT),
        }
        return World(np.array(home.arm_position) + spread, home.finger_position, poses)

    def success_test(self) -> PickPlaceSuccess:
        return PickPlaceSuccess(self.settings.success, self.settings.cube.edge)


class PickPlaceSuccess:
    """The cube rests on the mark, the fingers are open, and that has been so for a while."""

    def __init__(self, settings: Success, edge: float) -> None:
        self._settings = settings
        self._rest_height = edge / 2
        self._before: tuple[int, np.ndarray] | None = None
        self._since_ns: int | None = None

    def update(self, time_ns: int, objects: Mapping[str, Pose], finger_position: float) -> bool:
        cube = objects[CUBE].position
        if not self._rests(time_ns, cube, objects[MARK].position) or finger_position <= self._settings.open_above:
            self._since_ns = None
            return False
        if self._since_ns is None:
            self._since_ns = time_ns
        return time_ns - self._since_ns >= round(self._settings.hold_s * 1e9)

    def _rests(self, time_ns: int, cube: np.ndarray, mark: np.ndarray) -> bool:
        before, self._before = self._before, (time_ns, cube.copy())
        if before is None or time_ns <= before[0]:
            return False  # its speed is not known yet
        speed = float(np.linalg.norm(cube - before[1])) / ((time_ns - before[0]) * 1e-9)
        on_mark = np.hypot(*(cube - mark)[:2]) <= self._settings.distance
        low = abs(cube[2] - self._rest_height) <= self._settings.height_error
        return bool(on_mark and low and speed <= self._settings.speed)


def _place(random: np.random.Generator, x: Range, y: Range) -> np.ndarray:
    return np.array([random.uniform(x.min, x.max), random.uniform(y.min, y.max)])
