"""An episode as something to play: its streams, as far as its steps hold them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vla_core.embodiment import Embodiment
from vla_core.embodiment.schema import Camera, Stream
from vla_core.episodes import EpisodeReader
from vla_recorder.playback.source import Event, PlaybackError, PlayedTopic, chosen
from vla_recorder.stream_values import stream_values

_ARRIVAL_NS = 22_000_000  # from being due to being received: at most two ticks of a lockstep
_IMAGE = "sensor_msgs/msg/Image"


class EpisodeSource:
    """The samples of an episode's cameras and streams, so that aligning them again gives the same steps.

    Each step holds one value of each stream. An interpolated one is played with the step's stamp, any other with its source's
    stamp, and once, however many steps hold it. Topics and types are those that the episode's own embodiment declares.

    Args:
        path: of the episode.
        topics: which to play; default all.

    Raises:
        EpisodeError: the file is no finished episode.
        PlaybackError: the episode has none of these topics.
    """

    def __init__(self, path: Path, topics: Iterable[str] = ()) -> None:
        self._path = path
        with EpisodeReader(path) as episode:
            self.embodiment: Embodiment = episode.info.metadata.embodiment
            self._rows = np.flatnonzero(episode.markers == 0)
            self.names = self._names_of_topics()
            known = {
                source.topic: PlayedTopic(
                    name=source.topic,
                    type=source.type if isinstance(source, Stream) else _IMAGE,
                    count=len(_distinct(self._stamps_ns(episode, name))),
                    best_effort=source.reliability == "best_effort",
                )
                for name, source in self._sources().items()
            }
        self.topics = chosen(path, known, list(topics) or list(known))

    def events(self, topics: Iterable[str] | None = None) -> Iterator[Event]:
        """Samples as events: of those that are due together, numbers before images, since images make the steps."""
        wanted = list(self.topics if topics is None else topics)
        with EpisodeReader(self._path) as episode:
            entries = sorted(entry for topic in wanted for entry in self._entries(episode, topic))
            vectors = {
                topic: stream_values(episode, self.names[topic]) for topic in wanted if not self._is_camera(topic)
            }
            for time_ns, is_image, topic, stamp_ns, row in entries:
                value = episode.image(self.names[topic], row) if is_image else vectors[topic][row]
                yield Event(topic, time_ns, stamp_ns, value)

    def _sources(self) -> dict[str, Camera | Stream]:
        return {**self.embodiment.cameras, **self.embodiment.streams}

    def _names_of_topics(self) -> dict[str, str]:
        names: dict[str, str] = {}
        for name, source in self._sources().items():
            if source.topic in names:
                raise PlaybackError(
                    f"{self._path}: expected a topic for each stream, found '{names[source.topic]}' and '{name}' on "
                    f"{source.topic}: its messages cannot be put together again"
                )
            names[source.topic] = name
        return names

    def _is_camera(self, topic: str) -> bool:
        return self.names[topic] in self.embodiment.cameras

    def _entries(self, episode: EpisodeReader, topic: str) -> Iterator[tuple[int, bool, str, int, int]]:
        """For each sample of a topic: when it is played, whether it is an image, topic, stamp, and the row that holds it."""
        name = self.names[topic]
        stamps_ns, steps_ns = self._stamps_ns(episode, name), episode.stamps_ns[self._rows]
        by_arrival = self._sources()[name].stamp == "arrival"
        for index in _distinct(stamps_ns):
            time_ns = stamp_ns = int(stamps_ns[index])
            if (
                by_arrival
            ):  # it is stamped anew when it arrives, which is to be after the step before and not after its own
                time_ns = min(stamp_ns, int(steps_ns[index]) - _ARRIVAL_NS)
                time_ns = max(time_ns, int(steps_ns[index - 1]) + 1) if index else time_ns
            yield time_ns, self._is_camera(topic), topic, stamp_ns, int(self._rows[index])

    def _stamps_ns(self, episode: EpisodeReader, name: str) -> NDArray[np.int64]:
        """With which stamp each step's value of a stream is played (T,) [ns]."""
        interpolated = self._sources()[name].align.method == "interpolate"
        stamps_ns = episode.stamps_ns if interpolated else episode.stream_stamps_ns(name)
        return stamps_ns[self._rows]


def _distinct(stamps_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where a sample occurs for the first time."""
    return np.flatnonzero(np.diff(stamps_ns, prepend=stamps_ns[:1] - 1))
