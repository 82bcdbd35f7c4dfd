"""How far a playback is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class PlaybackState(Enum):
    WAITING = "waiting"
    PLAYING = "playing"
    FINISHED = "finished"


@dataclass(frozen=True)
class PlaybackProgress:
    """How far a playback is.

    Attributes:
        state: waiting for its start, playing, or finished.
        source: the bag or episode.
        played: messages published since the start.
        total: messages to be published.
        first_ns: recorded time of the first message; 0 before the start [ns].
        newest_ns: recorded time of the newest message played; 0 before the start [ns].
        start_ns: when the first one was played; 0 before the start [ns].
    """

    state: PlaybackState
    source: str
    played: int
    total: int
    first_ns: int = 0
    newest_ns: int = 0
    start_ns: int = 0
