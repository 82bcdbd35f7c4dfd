"""A bag as something to play."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from vla_recorder.bags import BagReader
from vla_recorder.playback.source import Event, PlayedTopic, chosen

# of the graph itself, which another one's would confuse: played only when asked for by name
_OF_THE_GRAPH = {"/rosout", "/parameter_events", "/clock"}
_LOCKSTEP = "/lockstep/"


class BagSource:
    """The messages of a bag by the times at which they were received.

    Args:
        path: of the bag.
        topics: which to play; default all but those that every graph has of its own.

    Raises:
        BagError: there is no whole bag.
        PlaybackError: it has none of these topics.
    """

    def __init__(self, path: Path, topics: Iterable[str] = ()) -> None:
        self._path = path
        with BagReader(path) as bag:
            known = {
                topic.name: PlayedTopic(topic.name, topic.type, topic.count, topic.best_effort, topic.latched)
                for topic in bag.topics.values()
            }
        wanted = list(topics) or [
            name for name in known if name not in _OF_THE_GRAPH and not name.startswith(_LOCKSTEP)
        ]
        self.topics = chosen(path, known, wanted)

    def events(self, topics: Iterable[str] | None = None) -> Iterator[Event]:
        """Messages as events; the values say their stamps themselves."""
        with BagReader(self._path) as bag:
            for message in bag.messages(self.topics if topics is None else topics):
                yield Event(message.topic, message.receive_ns, None, message.value)
