"""When recorded events are played."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from vla_recorder.playback.source import Event, PlaybackError


@dataclass(frozen=True)
class Timeline:
    """Recorded time to playing time: what was recorded at ``first_ns`` is played at ``start_ns``, the rest in proportion.

    At speed 1 all times move by one constant, and differences between them stay exactly what they were.
    """

    first_ns: int
    start_ns: int
    speed: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.speed) and self.speed > 0.0):
            raise PlaybackError(f"speed: expected a positive number, found {self.speed}")

    def at(self, recorded_ns: int) -> int:
        """When something that was recorded then is played [ns]."""
        elapsed_ns = recorded_ns - self.first_ns
        return self.start_ns + (elapsed_ns if self.speed == 1.0 else round(elapsed_ns / self.speed))


class Schedule:
    """Hands out events when they are due, each once.

    Args:
        events: oldest first.
        start_ns: when the first one is played [ns].
        speed: 1 as recorded, 2 twice as fast.

    Attributes:
        timeline: from the first event on.
        newest_ns: recorded time of the newest one handed out [ns].

    Raises:
        PlaybackError: there is no event, or the speed is not a positive number.
    """

    def __init__(self, events: Iterator[Event], start_ns: int, speed: float = 1.0) -> None:
        self._events = events
        self._next = next(events, None)
        if self._next is None:
            raise PlaybackError("expected messages to play, found none")
        self.timeline = Timeline(self._next.time_ns, start_ns, speed)
        self.newest_ns = self._next.time_ns

    @property
    def over(self) -> bool:
        """Whether everything has been handed out."""
        return self._next is None

    def due(self, now_ns: int) -> Iterator[Event]:
        """What is due by now and was not handed out yet."""
        while self._next is not None and self.timeline.at(self._next.time_ns) <= now_ns:
            event = self._next
            self._next = next(self._events, None)
            self.newest_ns = event.time_ns
            yield event
