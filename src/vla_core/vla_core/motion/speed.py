"""Speed scaling: what the chunks ask for, passed more slowly.

Chunks keep their own time, the path time. It runs with the wall clock at speed 1, and at half its rate at speed 0.5::

    path time                      ╱╱
                              ╱╱╱╱╱
                     ┌──╱╱╱╱    a speed that changes bends the line: nothing jumps
                   ╱╱│
                ╱╱╱  │
    wall clock ──────┴─ speed 0.5 from here on

An observation was made where the path was at that moment, so that its chunk's actions follow from there in path time. Nothing
has to be known of how the chunks are combined.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from vla_core.action_chunk import ActionChunk
from vla_core.chunking.curve import Reference
from vla_core.errors import LimitError
from vla_core.ports import ChunkScheduler

_KEPT = 32  # changes of the speed that are remembered, for observations from before them


class _Bend(NamedTuple):
    """From a time on [ns], with the path time at it [ns], path time runs ``speed`` times as fast as the clock."""

    time_ns: int
    path_ns: int
    speed: float

    def path_at(self, time_ns: int) -> int:
        return self.path_ns + _scaled(time_ns - self.time_ns, self.speed)

    def time_at(self, path_ns: int) -> int:
        return self.time_ns + _scaled(path_ns - self.path_ns, 1.0 / self.speed)


class SpeedScaled:
    """A scheduler whose chunks are passed at a share of their speed.

    Args:
        scheduler: combines the chunks, in path time.
    """

    def __init__(self, scheduler: ChunkScheduler) -> None:
        self._scheduler = scheduler
        self._bends = [_Bend(0, 0, 1.0)]
        self._stretched: tuple[ActionChunk | None, ActionChunk | None] = (None, None)

    @property
    def speed(self) -> float:
        """Path time per time, 1 is the policy's own speed."""
        return self._bends[-1].speed

    def set_speed(self, speed: float, now_ns: int) -> None:
        """Passes the path at a share of its speed from now on.

        Args:
            speed: in (0, 1].
            now_ns: the time [ns].

        Raises:
            LimitError: the speed is none of these.
        """
        if not 0.0 < speed <= 1.0:
            raise LimitError(f"expected a speed above 0 and at most 1, found {speed}")
        if speed == self.speed:
            return
        self._bends = [*self._bends[1 - _KEPT :], _Bend(now_ns, self._bends[-1].path_at(now_ns), speed)]
        self._stretched = (None, None)

    @property
    def ruling(self) -> ActionChunk | None:
        """The newest chunk that has a say, with the times at which its actions are passed."""
        inner = self._scheduler.ruling
        if inner is None or len(self._bends) == 1:
            return inner
        if self._stretched[0] is not inner:
            self._stretched = (inner, self._in_time(inner))
        return self._stretched[1]

    @property
    def runs_out_ns(self) -> int | None:
        """When what is meant comes to its end at this speed [ns]."""
        path_ns = self._scheduler.runs_out_ns
        return None if path_ns is None else self._bends[-1].time_at(path_ns)

    def submit(self, chunk: ActionChunk, now_ns: int) -> None:
        """Takes a chunk, whose observation was made where the path was then.

        Raises:
            ChunkDiscarded: it may not be used any more.
        """
        self._scheduler.submit(self.in_path_time(chunk), self._bend_at(now_ns).path_at(now_ns))

    def in_path_time(self, chunk: ActionChunk) -> ActionChunk:
        """The chunk as the scheduler inside gets it."""
        observation_ns = self._bend_at(chunk.observation_ns).path_at(chunk.observation_ns)
        later_ns = observation_ns - chunk.observation_ns
        if not later_ns:
            return chunk
        return dataclasses.replace(chunk, observation_ns=observation_ns, start_ns=chunk.start_ns + later_ns)

    def reference_at(self, time_ns: int) -> Reference | None:
        """What is meant at a time, and how fast it is passed."""
        bend = self._bends[-1] if time_ns >= self._bends[-1].time_ns else self._bend_at(time_ns)
        reference = self._scheduler.reference_at(bend.path_at(time_ns))
        if reference is None or bend.speed == 1.0:
            return reference
        return reference.slowed(bend.speed, 0.0)

    def reset(self) -> None:
        """Forgets the chunks; the speed stays."""
        self._scheduler.reset()

    def _bend_at(self, time_ns: int) -> _Bend:
        return next((bend for bend in reversed(self._bends) if bend.time_ns <= time_ns), self._bends[0])

    def _in_time(self, chunk: ActionChunk) -> ActionChunk:
        bend = self._bends[-1]
        return dataclasses.replace(
            chunk,
            observation_ns=bend.time_at(chunk.observation_ns),
            start_ns=bend.time_at(chunk.start_ns),
            step_ns=_scaled(chunk.step_ns, 1.0 / bend.speed),
        )


def _scaled(span_ns: int, by: float) -> int:
    """A span of time times a factor; exact for 1, however long it is."""
    return span_ns if by == 1.0 else round(span_ns * by)
