"""The robot's model: where its tool is, and how far its links are from each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vla_core.embodiment import Embodiment
from vla_core.embodiment.spaces import Kinematics
from vla_core.errors import ConfigError, EmbodimentMismatch, choice
from vla_core.kinematics.files import model_file
from vla_core.motion.polynomial import Array

if TYPE_CHECKING:
    import mujoco


@dataclass(frozen=True, eq=False)
class Frame:
    """A site or a body of the model."""

    kind: str
    """``site`` or ``body``, as mink calls them"""
    name: str
    index: int


class KinematicModel:
    """The model of an embodiment's robot. Joints that are not commanded, such as fingers, stay as the model has them.

    Args:
        embodiment: with ``kinematics``; its joints are found in the model by their names.

    Raises:
        EmbodimentMismatch: the embodiment has no kinematics, or the model lacks a joint or a frame that it names.
        ConfigError: there is no such file, or it cannot be read.
    """

    def __init__(self, embodiment: Embodiment) -> None:
        import mujoco

        self.settings = _settings(embodiment)
        path = model_file(self.settings.model)
        try:
            self.mujoco: mujoco.MjModel = mujoco.MjModel.from_xml_path(str(path))
        except ValueError as error:
            raise ConfigError(f"kinematics.model: {path}: cannot be read: {error}") from error
        self.joint_names = embodiment.joint_names
        joints = [self._index("joint", name) for name in self.joint_names]
        self.positions = self.mujoco.jnt_qposadr[joints]
        self.dofs = self.mujoco.jnt_dofadr[joints]
        self.tcp = self._frame(self.settings.tcp)
        self._base = self._index("body", self.settings.base) if self.settings.base else None
        self._data = mujoco.MjData(self.mujoco)
        self._kinematics = mujoco.mj_kinematics

    def everything(self, position: Array) -> Array:
        """All positions of the model, with the commanded joints (n,) at ``position``."""
        everything = np.array(self.mujoco.qpos0)
        everything[self.positions] = position
        return everything

    def placed(self, position: Array) -> mujoco.MjData:
        """The model with its joints (n,) at a position; valid until the next call."""
        self._data.qpos[self.positions] = position
        self._kinematics(self.mujoco, self._data)
        return self._data

    def tcp_pose(self, position: Array) -> tuple[Array, Array]:
        """Position (3,) [m] and rotation (3, 3) of the tool centre point in the base's frame."""
        data = self.placed(position)
        place, turn = self._world(data, self.tcp)
        if self._base is None:
            return place.copy(), turn.copy()
        origin, axes = data.xpos[self._base], data.xmat[self._base].reshape(3, 3)
        return axes.T @ (place - origin), axes.T @ turn

    def tcp_points(self, positions: Array) -> Array:
        """(k, n) joint positions to the places (k, 3) of the tool centre point in the base's frame [m]."""
        return np.array([self.tcp_pose(position)[0] for position in positions]).reshape(-1, 3)

    def in_world(self, place: Array, turn: Array) -> tuple[Array, Array]:
        """A pose in the base's frame as one in the model's world; a base that is moved by the joints is where it was last."""
        if self._base is None:
            return place, turn
        origin, axes = self._data.xpos[self._base], self._data.xmat[self._base].reshape(3, 3)
        return origin + axes @ place, axes @ turn

    def _world(self, data: mujoco.MjData, frame: Frame) -> tuple[Array, Array]:
        if frame.kind == "site":
            return data.site_xpos[frame.index], data.site_xmat[frame.index].reshape(3, 3)
        return data.xpos[frame.index], data.xmat[frame.index].reshape(3, 3)

    def _frame(self, name: str) -> Frame:
        sites, bodies = self._names("site"), self._names("body")
        if name in sites:
            return Frame("site", name, sites.index(name))
        if name in bodies:
            return Frame("body", name, bodies.index(name))
        raise EmbodimentMismatch(f"kinematics.tcp: expected {choice([*sites, *filter(None, bodies)])}, found '{name}'")

    def _index(self, kind: str, name: str) -> int:
        names = self._names(kind)
        if name not in names:
            raise EmbodimentMismatch(
                f"kinematics.model: expected a {kind} '{name}', found {choice(filter(None, names))}"
            )
        return names.index(name)

    def _names(self, kind: str) -> list[str]:
        count = {"joint": self.mujoco.njnt, "site": self.mujoco.nsite, "body": self.mujoco.nbody}[kind]
        element: Any = getattr(self.mujoco, kind)
        return [element(index).name for index in range(count)]


def _settings(embodiment: Embodiment) -> Kinematics:
    if embodiment.kinematics is None:
        raise EmbodimentMismatch(
            f"'{embodiment.name}': kinematics: missing; expected the robot's model, which poses and regions are told by"
        )
    return embodiment.kinematics
