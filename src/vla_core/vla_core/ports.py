"""The seams of the suite: small protocols, each with an implementation for the robot and a fake that ships beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from vla_core.action_chunk import ActionChunk
from vla_core.action_prefix import ActionPrefix
from vla_core.observation import Observation, Step

if TYPE_CHECKING:
    # scipy, which is behind it, takes longer to import than all else together
    from vla_core.chunking.curve import Reference
    from vla_core.episodes.beside import Beside
    from vla_core.episodes.metadata import RecordingSummary


class Clock(Protocol):
    """Tells the time on the clock of the header stamps."""

    def now_ns(self) -> int: ...


class Policy(Protocol):
    """Turns an observation into a chunk of actions."""

    @property
    def policy_id(self) -> str: ...

    @property
    def real_time_chunking(self) -> Literal["guided", "prefix"] | None:
        """How a chunk goes on from a prefix; None: it cannot."""
        ...

    def warm_up(self) -> float:
        """Gets ready, so that the first inference is as quick as the others. Returns how long that took [s]."""
        ...

    def infer(self, observation: Observation, prefix: ActionPrefix | None = None) -> ActionChunk:
        """Infers the actions that follow an observation. The caller owns both.

        Args:
            observation: what is seen.
            prefix: what is being executed meanwhile, if the chunk is to go on from it.

        Raises:
            VlaError: the observation cannot be used, or the policy cannot go on from a chunk.
        """
        ...

    def reset(self) -> None:
        """Forgets everything about earlier observations: a new episode begins."""
        ...


class ChunkScheduler(Protocol):
    """Answers what is meant at a time, from the chunks submitted so far."""

    @property
    def ruling(self) -> ActionChunk | None:
        """The newest chunk that has a say, or None."""
        ...

    @property
    def runs_out_ns(self) -> int | None:
        """When what is meant comes to its end [ns]; None: nothing is meant.

        If no other chunk comes, it slows down along its path before, and stands then.
        """
        ...

    def submit(self, chunk: ActionChunk, now_ns: int) -> None:
        """Takes a chunk.

        Raises:
            ChunkDiscarded: it may not be used any more.
        """
        ...

    def reference_at(self, time_ns: int) -> Reference | None:
        """What is meant at a time, or None where no chunk reaches."""
        ...

    def reset(self) -> None: ...


class EpisodeWriter(Protocol):
    """Takes the rows of one episode, and what is recorded beside them."""

    @property
    def path(self) -> Path:
        """Where the episode will be when it is finished."""
        ...

    def append(self, step: Step, prompt: str = "") -> None:
        """Adds a row. ``prompt`` is the instruction from this step on; empty: the one before goes on."""
        ...

    def beside(self, record: Beside) -> None:
        """Adds values that have times of their own: samples of a stream at its own rate, or a chunk of a rollout."""
        ...

    def finish(self, outcome: str, summary: RecordingSummary | None = None) -> Path:
        """Completes the episode. Returns where it is."""
        ...

    def flush(self) -> None:
        """Brings to the disk what still waits. For whoever knows that no step may come for a while."""
        ...

    def discard(self) -> None: ...
