"""What can be played: topics, and events in the order of their times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from vla_core.errors import VlaError


class PlaybackError(VlaError):
    """Something cannot be played, or not now, or not in this way."""


@dataclass(frozen=True)
class PlayedTopic:
    """A topic that is published again.

    Attributes:
        name: of the topic.
        type: of its messages.
        count: messages that are to be published.
        best_effort: whether it was published without reliable delivery.
        latched: whether late joiners got messages too.
    """

    name: str
    type: str
    count: int
    best_effort: bool = False
    latched: bool = False


@dataclass(frozen=True, eq=False)
class Event:
    """A message to be published.

    Attributes:
        topic: where.
        time_ns: when it was received while recording [ns].
        stamp_ns: source time of the value; None where the value itself says it [ns].
        value: what a message is made of: the value of a bag's message, or an episode's image or vector.
    """

    topic: str
    time_ns: int
    stamp_ns: int | None
    value: Any


class PlaybackSource(Protocol):
    """A bag or an episode."""

    @property
    def topics(self) -> Mapping[str, PlayedTopic]:
        """What is played, by name."""
        ...

    def events(self, topics: Iterable[str] | None = None) -> Iterator[Event]:
        """Events of some topics (default: all that are played), oldest first. Raises VlaError where the file is broken."""
        ...


def chosen(path: object, known: Mapping[str, PlayedTopic], wanted: Iterable[str]) -> dict[str, PlayedTopic]:
    """The wanted ones of the known topics. Raises PlaybackError for one that is not known, and if none is left."""
    names = [name if name.startswith("/") else f"/{name}" for name in wanted]
    missing = [name for name in names if name not in known]
    listed = ", ".join(f"{topic.name} ({topic.type})" for topic in known.values()) or "none"
    if missing:
        raise PlaybackError(f"{path}: expected the topics {', '.join(missing)}, found only {listed}")
    if not names:
        raise PlaybackError(f"{path}: expected a topic to play, found {listed}")
    return {name: known[name] for name in names}
