"""The streams of an embodiment out of a bag's messages: what the recorder's subscriptions are to topics."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from vla_core.alignment import Aligner, FrozenWatch, StreamMonitor, StreamStatus, stamp_of
from vla_core.embodiment import Embodiment
from vla_core.embodiment.schema import Camera, DepthCamera, Stream
from vla_core.errors import VlaError, choice
from vla_core.observation import Sample, Step
from vla_recorder.bags.reader import BagError, BagReader, BagTopic, SerializedMessage
from vla_ros.codecs.fields import StreamCodec
from vla_ros.codecs.images import CameraCodec

_FIRST = 10  # messages that tell whether a stream has stamps
_IMAGE_TYPES = {"image": "sensor_msgs/msg/Image", "compressed": "sensor_msgs/msg/CompressedImage"}


class BagStreams:
    """Aligns the messages of a bag to steps, with the code and the counts of the recorder.

    Args:
        bag: whose topics are read.
        embodiment: declares the streams.
        on_native: takes every message of the streams that the embodiment keeps at their own rate.

    Raises:
        BagError: a declared topic is not in the bag, or is of another type.

    Attributes:
        problems: stream to what was wrong with its last bad message.
        refused: stream to the number of messages that do not hold what is declared.
    """

    def __init__(
        self, bag: BagReader, embodiment: Embodiment, on_native: Callable[[str, Sample], None] | None = None
    ) -> None:
        self._sources = embodiment.sources
        self._bag = bag
        self._on_native = on_native
        self._aligner = Aligner(embodiment, self._sources)
        self._monitors = {name: StreamMonitor(source.rate_hz) for name, source in self._sources.items()}
        self._codecs: dict[str, Any] = {}
        self._frozen = {
            name: FrozenWatch(name, camera.topic, camera.frozen_after_ms) for name, camera in embodiment.cameras.items()
        }
        self._names: dict[str, list[str]] = {}
        self.problems: dict[str, str] = {}
        self.refused: dict[str, int] = {}
        absolute = {name: _absolute(source.topic) for name, source in self._sources.items()}
        bag.require(*dict.fromkeys(absolute.values()))
        for name, source in self._sources.items():
            self._codecs[name] = _codec(name, source, bag.topics[absolute[name]])
            self._names.setdefault(absolute[name], []).append(name)

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that the streams come on."""
        return tuple(self._names)

    def take(self, message: SerializedMessage) -> None:
        """Takes a message of one of the topics. One that does not hold what is declared is counted, and not used."""
        value: Any = None
        for name in self._names[message.topic]:
            source = self._sources[name]
            try:
                if isinstance(source, Stream):
                    value = self._bag.deserialized(message) if value is None else value
                    sample = self._sample(name, source, value, message.receive_ns)
                else:
                    sample = self._sample(name, source, message.data, message.receive_ns)
            except VlaError as error:
                self.problems[name] = str(error)
                self.refused[name] = self.refused.get(name, 0) + 1
                continue
            self._aligner.push(name, sample)
            if self._on_native is not None and isinstance(source, Stream) and source.native:
                self._on_native(name, sample)

    def pop(self, now_ns: int) -> list[Step]:
        """Steps that are decided now, oldest first."""
        return self._aligner.pop(now_ns)

    def flush(self) -> list[Step]:
        """Steps that are due when nothing more will come, oldest first."""
        return self._aligner.flush()

    def begin_episode(self) -> None:
        """An episode begins: the largest gap of each stream is measured from now on."""
        for monitor in self._monitors.values():
            monitor.begin_episode()

    def status(self, now_ns: int) -> tuple[StreamStatus, ...]:
        """How each stream has arrived until now."""
        return tuple(
            monitor.status(name, self._sources[name].topic, now_ns) for name, monitor in self._monitors.items()
        )

    def _sample(self, name: str, source: Camera | DepthCamera | Stream, message: Any, receive_ns: int) -> Sample:
        codec = self._codecs[name]
        stamp_ns = stamp_of(name, source, codec.stamp_ns(message), receive_ns)
        self._monitors[name].note(stamp_ns, receive_ns)
        if name in self._frozen:
            self._frozen[name].require_new(stamp_ns, codec.content(message))
        return Sample(stamp_ns, receive_ns, codec.read(message))


def without_stamps(bag: BagReader, embodiment: Embodiment) -> tuple[str, ...]:
    """Streams that are declared to have header stamps, and of which the first messages in a bag have none.

    Raises:
        BagError: a declared topic is not in the bag, or is of another type.
    """
    bag.require(*dict.fromkeys(_absolute(source.topic) for source in embodiment.sources.values()))
    return tuple(
        name
        for name, source in embodiment.sources.items()
        if source.stamp == "header" and _lacks_stamps(bag, name, source)
    )


def _lacks_stamps(bag: BagReader, name: str, source: Camera | DepthCamera | Stream) -> bool:
    topic = _absolute(source.topic)
    codec = _codec(name, source, bag.topics[topic])
    first = list(itertools.islice(bag.serialized([topic]), _FIRST))
    stamps = []
    for message in first:
        with suppress(VlaError):
            content = bag.deserialized(message) if isinstance(source, Stream) else message.data
            stamps.append(codec.stamp_ns(content))
    return bool(stamps) and not any(stamps)


def _codec(name: str, source: Camera | DepthCamera | Stream, topic: BagTopic) -> StreamCodec | CameraCodec:
    expected = source.type if isinstance(source, Stream) else _IMAGE_TYPES[source.message]
    if topic.type != expected:
        hint = ""
        if not isinstance(source, Stream) and topic.type in _IMAGE_TYPES.values():
            hint = f"; declare 'message: {choice(k for k, v in _IMAGE_TYPES.items() if v == topic.type)}' in the embodiment"
        raise BagError(f"{topic.name}: expected {expected} for '{name}', found {topic.type}{hint}")
    return StreamCodec(name, source) if isinstance(source, Stream) else CameraCodec(name, source)


def _absolute(topic: str) -> str:
    """A topic as a node without a namespace has it."""
    return topic if topic.startswith("/") else f"/{topic}"
