"""An embodiment for data that come without one: what the data say, and nothing about the robot's limits."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vla_core.embodiment import Embodiment
from vla_core.embodiment.loading import check_embodiment
from vla_core.embodiment.schema import (
    ActionSpace,
    Align,
    ArmController,
    Camera,
    Field,
    Joint,
    Range,
    Steps,
    Stream,
    Unit,
)
from vla_core.errors import choice
from vla_recorder.formats.conversion import FormatError
from vla_recorder.formats.ours import Images

STATE, COMMAND = "state", "command"  # the two streams

# as in github.com/tonyzhaozh/aloha: two arms of six joints, each with a gripper from 0 (closed) to 1
ALOHA_NAMES = tuple(
    f"{side}_{joint}"
    for side in ("left", "right")
    for joint in ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate", "gripper")
)
_UNIT_OF: Mapping[str, Unit] = {"qpos": "rad", "qvel": "rad/s", "effort": "Nm"}
_GRIPPER = re.compile(r"gripper|finger|hand", re.IGNORECASE)
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_]+")


@dataclass(frozen=True, eq=False)
class Found:
    """What data say about the robot that they are of.

    Attributes:
        name: of the data set.
        source: where it is, for the description.
        rate_hz: steps per second.
        groups: proprioception group to the names of its elements.
        actions: all actions (T, action_dim); their ranges become the joints'.
        action_names: one for each dimension.
        cameras: role to height and width [pixels].
        images: how their images are to be kept.
    """

    name: str
    source: str
    rate_hz: float
    groups: Mapping[str, Sequence[str]]
    actions: NDArray[np.float64]
    action_names: Sequence[str]
    cameras: Mapping[str, tuple[int, int]]
    images: Images


def derived_embodiment(found: Found) -> Embodiment:
    """The embodiment of an import. Its limits are those of the data: enough to train with, never to move a robot by.

    Raises:
        ConfigError: the data contradict themselves.
    """
    anywhere = Align("latest_before", tolerance_ms=1e3 / found.rate_hz)
    streams = {
        STATE: Stream(f"/{STATE}", "std_msgs/msg/Float64MultiArray", found.rate_hz, anywhere, _state_fields(found)),
        COMMAND: Stream(
            f"/{COMMAND}",
            "std_msgs/msg/Float64MultiArray",
            found.rate_hz,
            anywhere,
            _fields("action", found.action_names, "rad"),
        ),
    }
    cameras = {
        role: Camera(f"/{role}/image_raw", width, height, found.rate_hz, anywhere, images=found.images)
        for role, (height, width) in found.cameras.items()
    }
    proprioception = {
        group: tuple(f"{STATE}.{name}" for name in _fields(group, names, _UNIT_OF[group]))
        for group, names in found.groups.items()
    }
    embodiment = Embodiment(
        schema="vla/embodiment/1",
        name=identifier(found.name),
        description=f"Derived from {found.source}: limits and units are guessed from the data, no robot may be moved by them.",
        joints=tuple(_joint(name, column) for name, column in zip(found.action_names, found.actions.T, strict=True)),
        cameras=cameras,
        streams=streams,
        proprioception=proprioception,  # type: ignore[arg-type]
        action=ActionSpace("joint_position", tuple(f"{COMMAND}.{name}" for name in streams[COMMAND].fields)),
        arm=ArmController("none", "none"),
        steps=Steps("fixed", found.rate_hz),
    )
    return check_embodiment(embodiment, found.source)


def identifier(text: str) -> str:
    """A text as a name that an embodiment takes: letters, digits and underscores, a letter first."""
    name = _NOT_IN_NAMES.sub("_", text).strip("_")
    return name if name[:1].isalpha() else f"data_{name}"


def element_names(names: Sequence[str] | None, size: int, prefix: str) -> tuple[str, ...]:
    """Names of a vector's elements: those given where they are right, ALOHA's for 14 without names, else numbers."""
    if names is not None and len(names) == size == len(set(names)) and all(names):
        return tuple(names)
    return ALOHA_NAMES if size == len(ALOHA_NAMES) else tuple(f"{prefix}_{index}" for index in range(size))


def require_shape(
    embodiment: Embodiment, groups: Mapping[str, int], action_dim: int, cameras: Mapping[str, tuple[int, int]]
) -> None:
    """Refuses data that are of another shape than the embodiment given for them.

    Raises:
        FormatError: says what differs.
    """
    for group, references in embodiment.proprioception.items():
        expected = len(embodiment.names_of(references))
        if groups.get(group) != expected:
            found = f"{groups[group]} elements" if group in groups else f"only {choice(groups)}"
            raise FormatError(f"embodiment '{embodiment.name}': {group}: expected {expected} elements, found {found}")
    if action_dim != len(embodiment.action_names):
        raise FormatError(
            f"embodiment '{embodiment.name}': action: expected {len(embodiment.action_names)} elements, found {action_dim}"
        )
    for role, camera in embodiment.cameras.items():
        if cameras.get(role) != (camera.height, camera.width):
            raise FormatError(
                f"embodiment '{embodiment.name}': camera '{role}': expected images of {camera.width}x{camera.height}, found "
                + (
                    f"{cameras[role][1]}x{cameras[role][0]}"
                    if role in cameras
                    else f"only the cameras {choice(cameras)}"
                )
            )


def without_values(where: Path, embodiment: Embodiment, stream: str) -> FormatError:
    """The error that data have no values for a stream of the embodiment that was given for them."""
    return FormatError(
        f"{where}: expected values for the stream '{stream}' of embodiment '{embodiment.name}', which are in neither its "
        "proprioception nor its action; found none"
    )


def _state_fields(found: Found) -> dict[str, Field]:
    fields: dict[str, Field] = {}
    for group, names in found.groups.items():
        fields |= _fields(group, names, _UNIT_OF[group])
    return fields


def _fields(group: str, names: Sequence[str], unit: Unit) -> dict[str, Field]:
    """Fields whose elements follow each other: a new one wherever the unit changes, since grippers count from 0 to 1."""
    runs: list[tuple[Unit, list[str]]] = []
    for name in names:
        of_this: Unit = "1" if _GRIPPER.search(name) else unit
        if not runs or runs[-1][0] != of_this:
            runs.append((of_this, []))
        runs[-1][1].append(name)
    return {
        f"{group}_{number}" if len(runs) > 1 else group: Field(group, of_this, tuple(run))
        for number, (of_this, run) in enumerate(runs)
    }


def _joint(name: str, values: NDArray[np.float64]) -> Joint:
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    margin = max(1e-3, 0.01 * (high - low))
    return Joint(name, Range(low - margin, high + margin), velocity=1.0, acceleration=1.0, jerk=1.0)
