"""What a recorder says about itself: field for field the message vla_msgs/RecorderStatus."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

from vla_core.alignment import StreamStatus

SUCCESS, FAILURE, DISCARDED = "success", "failure", "discarded"
"""How an episode can end."""


class RecorderState(IntEnum):
    """The constants of vla_msgs/RecorderStatus."""

    IDLE = 0
    RECORDING = 1
    FINISHING = 2
    FAILED = 3


@dataclass(frozen=True)
class PromptCount:
    """How many episodes of a prompt are wanted, and how many successful ones there are."""

    prompt: str
    wanted: int
    recorded: int = 0

    @property
    def missing(self) -> int:
        """Episodes still wanted."""
        return max(0, self.wanted - self.recorded)


@dataclass(frozen=True)
class RecorderStatus:
    """The state of a recorder.

    Attributes:
        state: what it does.
        message: one sentence for the operator; empty when all is well.
        episode_path: the file being written, or the last one finished; empty before the first.
        prompt: language instruction of this or the next episode.
        outcome: what the episode gets if it is stopped now; empty when none is recorded.
        episodes: finished since the recorder began.
        failures: those of them whose outcome is failure.
        last_good: whether nothing was wrong with the last finished episode.
        verdict: what was wrong with it, one line each; empty if nothing, or before the first.
        prompts: prompts of the task's list, with the episodes still wanted of each.
        steps: rows of the running episode.
        duration_s: length of the running episode [s].
        dropped_steps: rows of the running episode that were dropped.
        queue_steps: rows waiting for the disk.
        disk_free_bytes: on the disk of the episodes [B]; 0 where nobody looked.
        disk_free_s: recording time that fits there at the rate of the last episode [s]; NaN before the first.
        streams: how the streams arrive.
    """

    state: RecorderState
    message: str = ""
    episode_path: str = ""
    prompt: str = ""
    outcome: str = ""
    episodes: int = 0
    failures: int = 0
    last_good: bool = True
    verdict: str = ""
    prompts: tuple[PromptCount, ...] = ()
    steps: int = 0
    duration_s: float = 0.0
    dropped_steps: int = 0
    queue_steps: int = 0
    disk_free_bytes: int = 0
    disk_free_s: float = math.nan
    streams: tuple[StreamStatus, ...] = ()
