"""What a recorder says about itself: field for field the message vla_msgs/RecorderStatus."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from vla_core.alignment import StreamStatus


class RecorderState(IntEnum):
    """The constants of vla_msgs/RecorderStatus."""

    IDLE = 0
    RECORDING = 1
    FINISHING = 2
    FAILED = 3


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
        steps: rows of the running episode.
        duration_s: length of the running episode [s].
        dropped_steps: rows of the running episode that were dropped.
        queue_steps: rows waiting for the disk.
        streams: how the streams arrive.
    """

    state: RecorderState
    message: str = ""
    episode_path: str = ""
    prompt: str = ""
    outcome: str = ""
    episodes: int = 0
    steps: int = 0
    duration_s: float = 0.0
    dropped_steps: int = 0
    queue_steps: int = 0
    streams: tuple[StreamStatus, ...] = ()
