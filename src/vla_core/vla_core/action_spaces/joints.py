"""Actions of the joints: positions, or changes of positions."""

from __future__ import annotations

from typing import Literal

import numpy as np

from vla_core.action_chunk import ActionChunk
from vla_core.action_spaces.space import Commanded, Resolved, in_axes
from vla_core.embodiment import Embodiment, JointLimits
from vla_core.motion.polynomial import Array


class JointPositions:
    """Action k is where the joints are meant to be at its time."""

    commands: Literal["position"] = "position"

    def __init__(self, embodiment: Embodiment) -> None:
        self.names = embodiment.joint_names
        self.limits = JointLimits.of(embodiment)

    def begin(self, position: Array) -> Array:
        """See :class:`vla_core.action_spaces.space.CommandSpace`."""
        return position

    def resolve(self, chunk: ActionChunk, commanded: Commanded) -> Resolved:
        """The chunk itself."""
        return Resolved(chunk)


class JointDeltas(JointPositions):
    """Action k is a change of the joints' positions.

    Since the ``observation``: from where they were commanded to be at the first action's time, to where they are meant to be at
    that of action k. Since the ``previous``: the change during step k, so that the chunk leads from there on through one more
    position than it has actions, the last one a step later.
    """

    def __init__(self, embodiment: Embodiment) -> None:
        super().__init__(embodiment)
        self._chained = embodiment.action.since == "previous"

    def resolve(self, chunk: ActionChunk, commanded: Commanded) -> Resolved:
        """Adds the changes up."""
        changes, gripper = np.split(chunk.actions, [len(self.names)], axis=1)
        anchor = commanded(chunk.start_ns)
        if self._chained:
            changes = np.concatenate([np.zeros((1, len(self.names))), np.cumsum(changes, axis=0)])
        return Resolved(in_axes(chunk, self.names, anchor + changes, gripper))
