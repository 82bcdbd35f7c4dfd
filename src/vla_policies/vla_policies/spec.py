"""What a policy sees and what it outputs, in words of the embodiment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field as Constraint

from vla_core.embodiment import Embodiment
from vla_core.embodiment.schema import Name
from vla_core.errors import EmbodimentMismatch, choice
from vla_policies.transforms.chain import TransformConfig

Pixels = Annotated[int, Constraint(gt=0)]


@dataclass(frozen=True)
class ImageSize:
    """The size at which a network sees a camera [px], and how an image of another size gets it."""

    width: Pixels
    height: Pixels
    resize: Literal["area", "bilinear", "bicubic", "lanczos3"] = "area"
    """``area``: OpenCV's; the others with kernels as wide as what becomes a pixel, as Pillow's"""
    fit: Literal["stretch", "pad"] = "stretch"
    """``pad``: keep its proportions, in the middle of black"""


@dataclass(frozen=True)
class PolicySpec:
    """The outside of a network: what it must be given and how its output is to be read.

    Names, units and the step rate of the actions are those of the embodiment that goes with it.
    """

    cameras: Mapping[Name, ImageSize]
    """roles in the network's order, with the size of its input; images of another size are resized"""
    proprioception: tuple[Literal["qpos", "qvel", "effort"], ...]
    """groups in the network's order, joined to one vector"""
    action_horizon: Annotated[int, Constraint(gt=0)]
    """number of actions predicted, one per step of the embodiment"""
    action_reference: Literal["absolute", "qpos"] = "absolute"
    """``qpos``: the network's actions are offsets from the position at the observation, in every dimension that has one there"""

    absolute_actions: tuple[Name, ...] = ()
    """with ``action_reference: qpos``, the actions that are no offsets all the same, mostly those of grippers"""

    transforms: tuple[TransformConfig, ...] = ()
    """of vectors, in the order from the robot to the network, before offsets and normalisation; see ``transforms``"""

    def require_fits(self, embodiment: Embodiment, what: str) -> None:
        """Checks that the embodiment has these cameras and groups.

        Args:
            embodiment: the robot.
            what: names the policy in the error.

        Raises:
            EmbodimentMismatch: names what is missing and what there is.
        """
        for label, wanted, available in (
            ("camera", self.cameras, embodiment.cameras),
            ("proprioception group", self.proprioception, embodiment.proprioception),
            ("action", self.absolute_actions, embodiment.action_names),
        ):
            for name in wanted:
                if name not in available:
                    raise EmbodimentMismatch(
                        f"{what} needs the {label} '{name}'; '{embodiment.name}' has {choice(available)}"
                    )

    def require_sizes(self, embodiment: Embodiment, state_dim: int, action_dim: int, what: str) -> None:
        """Checks the sizes of a network's state and actions against the embodiment's.

        Raises:
            EmbodimentMismatch: names the dimensions that the embodiment has.
        """
        for label, found, names in (
            ("state", state_dim, self.state_names(embodiment)),
            ("actions", action_dim, embodiment.action_names),
        ):
            if found != len(names):
                raise EmbodimentMismatch(
                    f"{what}: {label}: '{embodiment.name}' has the {len(names)} dimensions {list(names)}, it has {found}"
                )

    def state_names(self, embodiment: Embodiment) -> tuple[str, ...]:
        """One name per dimension of the joined proprioception."""
        return tuple(
            name for group in self.proprioception for name in embodiment.names_of(embodiment.proprioception[group])
        )


def image_size(embodiment: Embodiment, role: str, what: str) -> ImageSize:
    """The size of a camera's images. Raises EmbodimentMismatch, naming ``what``, if the embodiment has no such camera."""
    if role not in embodiment.cameras:
        raise EmbodimentMismatch(
            f"{what} needs the camera '{role}'; '{embodiment.name}' has {choice(embodiment.cameras)}"
        )
    return ImageSize(embodiment.cameras[role].width, embodiment.cameras[role].height)


ACTION_SPACES = {
    "joint_position": "positions of joints and gripper",
    "joint_delta": "changes of the joints' positions",
    "tcp_pose": "poses of the end effector",
    "tcp_delta": "changes of the end effector's pose",
    "base_velocity": "velocities of a base",
    "base_waypoints": "waypoints in the plane",
}


def require_action_space(embodiment: Embodiment, kind: str, what: str) -> None:
    """Checks that a policy's actions are of the kind that a robot takes. Raises EmbodimentMismatch, naming ``what`` has them."""
    if kind != embodiment.action.kind:
        raise EmbodimentMismatch(
            f"{what}: its actions are {kind} ({ACTION_SPACES.get(kind, kind)}); those of '{embodiment.name}' are "
            f"{embodiment.action.kind}"
        )
