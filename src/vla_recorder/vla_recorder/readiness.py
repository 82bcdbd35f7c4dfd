"""Whether the streams of a robot come as they must before an episode is started."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

from vla_core.alignment import StreamStatus

_SILENT_PERIODS = 5.0
_SILENT_S = 0.5  # a status is itself a fraction of a second old
_AHEAD_S = 0.5


class Streams(Protocol):
    """What a recorder asks about the streams of its robot."""

    @property
    def problems(self) -> Mapping[str, str]:
        """Streams whose messages are not what was declared, and what is wrong with them."""
        ...

    def status(self) -> tuple[StreamStatus, ...]:
        """How each stream arrives."""
        ...

    def begin_episode(self) -> None:
        """What is measured per episode is measured anew from now on."""
        ...


class NoStreams:
    """Nobody watches the streams (port :class:`Streams`)."""

    problems: Mapping[str, str] = {}

    def status(self) -> tuple[StreamStatus, ...]:
        return ()

    def begin_episode(self) -> None:
        return


def is_silent(stream: StreamStatus) -> bool:
    """Whether the newest message is older than one may be. A stream of no declared rate may be silent for ever."""
    expected_hz = stream.expected_rate_hz
    return expected_hz > 0 and stream.age_s > max(_SILENT_PERIODS / expected_hz, _SILENT_S)


def is_ahead(stream: StreamStatus) -> bool:
    """Whether the stamps are in the future: the clock that they are from, or this one, is wrong."""
    return stream.age_s < -_AHEAD_S


def unready(streams: Streams, full: str) -> list[str]:
    """One line for each reason not to start an episode, for an operator.

    Args:
        streams: of the robot.
        full: why the disk cannot take an episode; empty if it can.
    """
    lines = [streams.problems.get(stream.name, "") or _complaint(stream) for stream in streams.status()]
    return [line for line in (*lines, full) if line]


def _complaint(stream: StreamStatus) -> str:
    about = f"'{stream.name}'"
    if stream.received == 0 or math.isnan(stream.age_s):
        return f"{about}: nothing was received on {stream.topic}, expected about {stream.expected_rate_hz:g} Hz"
    if is_silent(stream):
        return f"{about}: the last message on {stream.topic} is {stream.age_s:.1f} s old"
    if is_ahead(stream):
        return f"{about}: the stamps on {stream.topic} are {-stream.age_s:.1f} s ahead of this computer's clock"
    return ""
