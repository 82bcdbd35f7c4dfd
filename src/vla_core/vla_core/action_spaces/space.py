"""What every action space does: it says chunks in the axes in which the robot is commanded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np

from vla_core.action_chunk import ActionChunk
from vla_core.embodiment.limits import JointLimits
from vla_core.motion.polynomial import Array

Commanded = Callable[[int], Array]
"""Where the axes were, or are going to be, commanded to be at a time [ns]: (n,)."""


@dataclass(frozen=True, eq=False)
class Resolved:
    """A chunk in the axes of the robot, then its gripper.

    Attributes:
        chunk: of at least one action.
        shortened: why it ends before the policy's chunk does; empty: it does not.
    """

    chunk: ActionChunk
    shortened: str = ""


class CommandSpace(Protocol):
    """The axes in which a robot is commanded, and what a policy's actions mean in them."""

    @property
    def names(self) -> tuple[str, ...]:
        """The axes, n."""
        ...

    @property
    def limits(self) -> JointLimits:
        """Of the axes."""
        ...

    @property
    def commands(self) -> Literal["position", "velocity"]:
        """What a resolved chunk says of an axis."""
        ...

    def begin(self, position: Array) -> Array:
        """The axes' positions (n,) of a robot whose joints stand at a position, from now on."""
        ...

    def resolve(self, chunk: ActionChunk, commanded: Commanded) -> Resolved:
        """Says a chunk that was found valid in the axes.

        Raises:
            ChunkError: not one of its actions can be executed.
        """
        ...


def in_axes(chunk: ActionChunk, names: tuple[str, ...], axes: Array, gripper: Array) -> ActionChunk:
    """The chunk with other actions, at the same times: axes (k, n), then what is left of the policy's actions (K, g).

    There may be fewer actions than the policy's, or one more, where the first one is where the robot was before its changes; the
    gripper does then what the first action says.
    """
    before = max(0, len(axes) - len(gripper))
    rest = np.concatenate([np.repeat(gripper[:1], before, axis=0), gripper])[: len(axes)]
    tail = chunk.names[len(chunk.names) - gripper.shape[1] :] if gripper.shape[1] else ()
    return replace(chunk, actions=np.concatenate([axes, rest], axis=1), names=(*names, *tail))
