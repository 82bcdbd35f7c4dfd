"""What is known of the chunks so far, and so which of them may still be taken."""

from __future__ import annotations

from vla_core.action_chunk import ActionChunk
from vla_core.embodiment import Embodiment
from vla_core.execution.acceptance import overtaken, untimely
from vla_core.execution.faults import Fault


class ChunkIntake:
    """Remembers the newest observation that was acted on, and what hinders the policy from seeing.

    Args:
        embodiment: how old an observation may be.

    Attributes:
        hindrance: why the policy infers nothing although it is running; None: it does.
    """

    def __init__(self, embodiment: Embodiment) -> None:
        self.hindrance: Fault | None = None
        self._hindered_ns = 0
        self._newest_ns: int | None = None
        self._embodiment = embodiment

    def hinder(self, hindrance: Fault, now_ns: int) -> None:
        """From now on [ns], chunks are taken only from observations that are later than this."""
        self.hindrance, self._hindered_ns = hindrance, now_ns

    def overcomes_hindrance(self, chunk: ActionChunk) -> bool:
        """Whether the policy saw again after what hindered it."""
        return self.hindrance is not None and chunk.observation_ns > self._hindered_ns

    def refusal(self, chunk: ActionChunk, now_ns: int) -> str:
        """Why a chunk may not be taken now; empty if it may."""
        if self.hindrance is not None:
            return self.hindrance.message
        return untimely(chunk, self._embodiment, now_ns) or overtaken(chunk, self._newest_ns)

    def taken(self, chunk: ActionChunk) -> None:
        """The chunk is followed from now on."""
        self._newest_ns = chunk.observation_ns

    def forget(self) -> None:
        """What comes next is the first."""
        self._newest_ns = None
