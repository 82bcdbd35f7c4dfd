"""The seams of the suite: small protocols, each with an implementation for the robot and a fake that ships beside it."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vla_core.action_chunk import ActionChunk
from vla_core.observation import Observation, Step


class Clock(Protocol):
    """Tells the time on the clock of the header stamps."""

    def now_ns(self) -> int: ...


class Policy(Protocol):
    """Turns an observation into a chunk of actions."""

    @property
    def policy_id(self) -> str: ...

    def infer(self, observation: Observation) -> ActionChunk:
        """Infers the actions that follow an observation. The caller owns both."""
        ...

    def reset(self) -> None:
        """Forgets everything about earlier observations: a new episode begins."""
        ...


class ChunkScheduler(Protocol):
    """Answers which action is meant at a time, from the chunks submitted so far."""

    def submit(self, chunk: ActionChunk, now_ns: int) -> None: ...

    def reference_at(self, time_ns: int) -> Reference | None:
        """The reference at a time, or None where no chunk reaches."""
        ...

    def reset(self) -> None: ...


class Reference(Protocol):
    """A point of the path that the chunks ask for.

    Attributes:
        position: (action_dim,) [unit of the action].
        velocity: (action_dim,) [unit of the action per second].
    """

    position: NDArray[np.float64]
    velocity: NDArray[np.float64]


class EpisodeWriter(Protocol):
    """Takes the rows of one episode."""

    def append(self, step: Step) -> None: ...

    def finish(self, outcome: str) -> None: ...

    def discard(self) -> None: ...
