"""What the simulator must know about an MJCF: the names of joints, fingers and cameras, and the stiffness of the joints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field as Constraint

from vla_core import config
from vla_core.errors import ConfigError, choice

Positive = Annotated[float, Constraint(gt=0)]

MODELS = Path(__file__).parent


@dataclass(frozen=True)
class JointModel:
    """An arm joint: its inner position controller is ``stiffness * (q_d - q) + damping * (dq_d - dq)``, within the limit."""

    name: str
    stiffness: Positive
    """[Nm/rad or N/m]"""
    damping: Positive
    """[Nm s/rad or N s/m]"""
    max_effort: Positive
    """[Nm or N]"""


@dataclass(frozen=True)
class FingerModel:
    """A finger joint; the gripper limits its force."""

    name: str
    stiffness: Positive
    """[N/m]"""
    damping: Positive
    """[N s/m]"""


@dataclass(frozen=True)
class RobotModel:
    """An MJCF and the names in it.

    Attributes:
        name: of the model.
        mjcf: the file, from the folder of this description.
        tcp_site: site of the tool centre point, z pointing away from the hand.
        joints: of the arm, in the embodiment's order.
        fingers: two finger joints that open with growing position, or none.
        cameras: camera role to camera name.
        folder: of the description; set when it is read.
    """

    schema: Literal["vla/robot_model/1"]
    name: str
    mjcf: str
    tcp_site: str
    joints: Annotated[tuple[JointModel, ...], Constraint(min_length=1)]
    fingers: tuple[FingerModel, ...] = ()
    cameras: Mapping[str, str] = field(default_factory=dict)
    folder: str = ""

    @property
    def joint_names(self) -> tuple[str, ...]:
        return tuple(joint.name for joint in self.joints)

    @property
    def path(self) -> Path:
        """The MJCF file."""
        return Path(self.folder) / self.mjcf


def shipped_model(name: str) -> RobotModel:
    """A model that comes with the simulator, for example ``fr3``.

    Raises:
        ConfigError: there is none of this name.
    """
    path = MODELS / f"{name}.yaml"
    if not path.exists():
        known = sorted(found.stem for found in MODELS.glob("*.yaml"))
        raise ConfigError(f"robot model: expected {choice(known)}, found '{name}'")
    return load_robot_model(path)


def load_robot_model(path: Path | str) -> RobotModel:
    """Reads the description of a robot model.

    Raises:
        ConfigError: wrong, missing or unknown keys, or a number of fingers that is neither 0 nor 2.
    """
    path = Path(path)
    data = config.read_yaml(path) | {"folder": str(path.parent)}
    model = config.from_mapping(RobotModel, data, str(path))
    if len(model.fingers) not in (0, 2):
        raise ConfigError(f"{path}: fingers: expected two or none, found {len(model.fingers)}")
    return model
