"""Things on the table, added to a robot's model by the task that needs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import mujoco

Colour = tuple[float, float, float, float]

_OBJECT_BIT, _EVERYTHING = 4, 7


class SceneObject(Protocol):
    """Something on the table."""

    @property
    def name(self) -> str: ...

    def add_to(self, spec: mujoco.MjSpec) -> None:
        """Adds a body of this name that is free, or mocap if nothing can move it."""
        ...


@dataclass(frozen=True)
class Box:
    """A cube that can be moved. ``edge`` [m], ``mass`` [kg], ``rgba`` each 0..1."""

    name: str
    edge: float
    mass: float
    rgba: Colour

    def add_to(self, spec: mujoco.MjSpec) -> None:
        body = spec.worldbody.add_body(name=self.name)
        body.add_freejoint(name=self.name)
        body.add_geom(
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=[self.edge / 2] * 3,
            mass=self.mass,
            rgba=self.rgba,
            contype=_OBJECT_BIT,
            conaffinity=_EVERYTHING,
            condim=4,
            friction=[1.0, 0.01, 0.0001],
            solref=[0.005, 1.0],
        )


@dataclass(frozen=True)
class Disc:
    """A flat round mark that can be seen and not touched. ``radius`` [m], ``rgba`` each 0..1."""

    name: str
    radius: float
    rgba: Colour

    def add_to(self, spec: mujoco.MjSpec) -> None:
        body = spec.worldbody.add_body(name=self.name, mocap=True)
        body.add_geom(
            type=mujoco.mjtGeom.mjGEOM_CYLINDER,
            size=[self.radius, 0.0002, 0.0],
            rgba=self.rgba,
            contype=0,
            conaffinity=0,
        )
