"""What an embodiment file says about topics that are recorded or observed: cameras, depth cameras, streams of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field as Constraint

Positive = Annotated[float, Constraint(gt=0)]
NotNegative = Annotated[float, Constraint(ge=0)]
Pixels = Annotated[int, Constraint(gt=0)]
Name = Annotated[str, Constraint(min_length=1, pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
Topic = Annotated[str, Constraint(min_length=1, pattern=r"^[A-Za-z/~][A-Za-z0-9_/~]*$")]
Unit = Literal[
    "rad", "m", "rad/s", "m/s", "rad/s^2", "m/s^2", "Nm", "N", "s", "Hz", "kg", "V", "A", "C", "1"
]  # fmt: skip
Reliability = Literal["reliable", "best_effort"]
Stamp = Literal["header", "arrival"]
ImageMessage = Literal["image", "compressed"]


@dataclass(frozen=True)
class Align:
    """How a stream's value at the time of a step is found.

    method: ``interpolate`` linearly between the two neighbours in time; ``nearest`` in time, either side; or
        ``latest_before``, the newest that is not younger than the step.
    tolerance_ms: a sample farther than this from the step does not count [ms].
    wait_ms: how long after a step's time a younger sample is waited for before the step is decided without it [ms].
    on_missing: what becomes of a step for which no sample counts. ``drop``: it is dropped and counted. ``mark``: it is kept
        with the stream's last true sample, however old, and marked and counted; before the first sample it is dropped.
    """

    method: Literal["interpolate", "nearest", "latest_before"]
    tolerance_ms: Positive
    wait_ms: NotNegative = 50.0
    on_missing: Literal["drop", "mark"] = "drop"


@dataclass(frozen=True)
class Camera:
    """A camera, by its role. ``encoding`` is what is recorded and shown to the policy, whatever the message's encoding.

    message: ``image`` for ``sensor_msgs/msg/Image``, ``compressed`` for ``sensor_msgs/msg/CompressedImage``.
    images: how they are kept in an episode: ``raw``, ``jpeg``, or compressed without loss.
    jpeg_quality: of images that are not JPEG already [1..100].
    frozen_after_ms: for how long an image may repeat with new stamps before the camera counts as frozen, and is refused [ms];
        0: for ever. A true camera's noise never repeats; a rendered image may.
    """

    topic: Topic
    width: Pixels
    height: Pixels
    rate_hz: Positive
    align: Align
    encoding: Literal["rgb8"] = "rgb8"
    message: ImageMessage = "image"
    images: Literal["raw", "jpeg", "lossless"] = "raw"
    jpeg_quality: Annotated[int, Constraint(ge=1, le=100)] = 95
    reliability: Reliability = "reliable"
    stamp: Stamp = "header"
    frozen_after_ms: NotNegative = 0.0


@dataclass(frozen=True)
class DepthCamera:
    """A camera whose pixels are distances. Its images are recorded and never shown to a policy.

    encoding: ``16UC1`` or ``32FC1``, as the messages have it; kept as uint16 or float32.
    unit: of a pixel's value. 0, or NaN in ``32FC1``, is what drivers send where nothing was measured.
    """

    topic: Topic
    width: Pixels
    height: Pixels
    rate_hz: Positive
    align: Align
    encoding: Literal["16UC1", "32FC1"]
    unit: Literal["mm", "m"]
    message: ImageMessage = "image"
    images: Literal["raw", "lossless"] = "raw"
    reliability: Reliability = "reliable"
    stamp: Stamp = "header"


@dataclass(frozen=True)
class Elements:
    """Picks elements of a message's arrays by name: ``path`` leads to the names in the message, ``names`` is our order."""

    path: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Field:
    """A numeric field of a stream's message: ``path`` with dots, for example ``reference.positions``.

    The path may lead to a number, to an array of numbers, or to a message of numbers (Vector3, Quaternion, Pose, Wrench, ...),
    which is flattened in the order of its definition.

    ``names`` names its elements where the stream has no ``elements``.
    """

    path: str
    unit: Unit
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stream:
    """A topic with numbers: proprioception or commands. All its fields are one vector, in the order given here.

    native: whether an episode also keeps every message of it, at its own rate, beside the steps.
    """

    topic: Topic
    type: Annotated[str, Constraint(pattern=r"^\w+/msg/\w+$")]
    rate_hz: NotNegative
    align: Align
    fields: Mapping[Name, Field]
    elements: Elements | None = None
    native: bool = False
    reliability: Reliability = "reliable"
    stamp: Stamp = "header"

    def names_of(self, field_name: str) -> tuple[str, ...]:
        """The element names of one of the fields."""
        own = self.fields[field_name].names
        return own or (self.elements.names if self.elements else ())

    def slice_of(self, field_name: str) -> slice:
        """Where the field lies in the stream's vector."""
        start = 0
        for name in self.fields:
            size = len(self.names_of(name))
            if name == field_name:
                return slice(start, start + size)
            start += size
        raise KeyError(field_name)

    @property
    def size(self) -> int:
        """Length of the stream's vector."""
        return sum(len(self.names_of(name)) for name in self.fields)
