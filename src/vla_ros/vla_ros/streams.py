"""The streams of an embodiment as subscriptions: the one way in which recorder and policy see the robot."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from vla_core.alignment import Aligner, FrozenWatch, StreamMonitor, StreamStatus, stamp_of
from vla_core.embodiment import Embodiment
from vla_core.embodiment.schema import Camera, DepthCamera, Stream
from vla_core.errors import StreamError, VlaError
from vla_core.observation import Sample, Step
from vla_ros import qos
from vla_ros.codecs.definitions import definition_of, message_type
from vla_ros.codecs.fields import StreamCodec
from vla_ros.codecs.images import CameraCodec
from vla_ros.codecs.serialized import SerializedStreamCodec, has_header
from vla_ros.host import NodeHost

_QUEUED_S = 1.0  # what the middleware keeps for a loop that is busy
_LEAST_NUMBERS = 200  # messages of streams, whose declared rate may be 0


class Codec(Protocol):
    """Reads the messages of one stream."""

    def stamp_ns(self, message: Any) -> int | None:
        """The header's stamp; None if there is no header."""
        ...

    def read(self, message: Any) -> Any:
        """The value of a sample. Raises VlaError."""
        ...


class StreamSubscriptions:
    """Subscribes to streams, aligns them to steps, and keeps watch over how they arrive.

    A message that does not hold what is declared is an event: told once when the stream goes bad and once when it is well
    again; its values are never used.

    Args:
        host: of the node.
        embodiment: declares the streams.
        names: which cameras and streams.
        on_native: takes every message of the streams that the embodiment keeps at their own rate.
        wakes: whether messages are to be taken as soon as they come; false where the node's timer is soon enough, as it is for a
            recorder.
        early: whether a step is decided as soon as everything for it seems to be there, as a rollout needs it.

    Raises:
        StreamError: a message type is not installed, or does not have a declared field.
    """

    def __init__(
        self,
        host: NodeHost,
        embodiment: Embodiment,
        names: Iterable[str],
        on_native: Callable[[str, Sample], None] | None = None,
        wakes: bool = True,
        early: bool = False,
    ) -> None:
        self.names = tuple(names)
        self._host = host
        self._on_native = on_native
        self._aligner = Aligner(embodiment, self.names, early)
        self._monitors: dict[str, StreamMonitor] = {}
        self._sources = embodiment.sources
        self._wakes = wakes
        self._topics: dict[str, str] = {}  # as they are called after namespace and remapping
        self.problems: dict[str, str] = {}
        for name in self.names:
            self._add(name, self._sources[name])

    def pop(self, now_ns: int) -> list[Step]:
        """Steps that are decided now, oldest first."""
        return self._aligner.pop(now_ns)

    def missing(self, step: Step) -> tuple[str, ...]:
        """Streams that a step lacks because they were out of their tolerance."""
        return self._aligner.missing(step)

    def absent(self, now_ns: int, longer_than_s: float) -> list[str]:
        """One line for each stream that has not come, or not for so long, for an operator."""
        lines = []
        for name in self.names:
            age_s = self._monitors[name].age_s(now_ns)
            source = self._sources[name]
            if name in self.problems:
                lines.append(self.problems[name])
            elif age_s != age_s:  # NaN: nothing has come yet
                lines.append(f"'{name}': nothing was received on {source.topic}, expected about {source.rate_hz:g} Hz")
            elif age_s > longer_than_s and source.rate_hz > 0:
                lines.append(f"'{name}': the last message on {source.topic} is {age_s:.1f} s old")
        return lines

    def status(self, now_ns: int) -> tuple[StreamStatus, ...]:
        """How each stream arrives."""
        return tuple(self._monitors[name].status(name, self._topics[name], now_ns) for name in self.names)

    def begin_episode(self) -> None:
        """An episode begins: the largest gap of each stream is measured from now on."""
        for monitor in self._monitors.values():
            monitor.begin_episode()

    def _add(self, name: str, source: Camera | DepthCamera | Stream) -> None:
        kind, codec, raw = _codec(name, source)
        on_native = self._on_native if isinstance(source, Stream) and source.native else None
        monitor = self._monitors[name] = StreamMonitor(source.rate_hz)
        require_new = _watch_for_freezing(name, source, codec)

        def handle(message: Any, receive_ns: int) -> None:
            try:
                stamp_ns = stamp_of(name, source, codec.stamp_ns(message), receive_ns)
                monitor.note(stamp_ns, receive_ns)
                require_new(stamp_ns, message)
                value = codec.read(message)
            except VlaError as error:
                self._went_bad(name, str(error))
                return
            if self.problems:
                self._is_well(name)
            sample = Sample(stamp_ns, receive_ns, value)
            self._aligner.push(name, sample)
            if on_native is not None:
                on_native(name, sample)

        profile = qos.stream(_depth(source), source.reliability)
        entry = self._host.subscribe(kind, source.topic, handle, profile, raw=raw, wakes=self._wakes)
        self._topics[name] = entry.topic

    def _went_bad(self, name: str, reason: str) -> None:
        if name not in self.problems:
            self._host.node.get_logger().error(reason)
        self.problems[name] = reason

    def _is_well(self, name: str) -> None:
        if self.problems.pop(name, None):
            self._host.node.get_logger().info(f"stream '{name}' is well again")


def _watch_for_freezing(name: str, source: Camera | DepthCamera | Stream, codec: Codec) -> Callable[[int, Any], None]:
    """What raises StreamError where a camera repeats an image for too long."""
    if not isinstance(source, Camera) or not isinstance(codec, CameraCodec):
        return lambda stamp_ns, message: None
    watch = FrozenWatch(name, source.topic, source.frozen_after_ms)
    return lambda stamp_ns, message: watch.require_new(stamp_ns, codec.content(message))


def _codec(name: str, source: Camera | DepthCamera | Stream) -> tuple[type, Codec, bool]:
    """The type of a source's messages, what reads them, and whether it reads them serialized, which is cheaper."""
    if not isinstance(source, Stream):
        camera = CameraCodec(name, source)
        return camera.message_type, camera, True
    kind = message_type(source.type)
    try:
        definition = definition_of(kind)
    except StreamError:
        return kind, StreamCodec(name, source), False
    if "header" in definition.fields and not has_header(definition):
        return kind, StreamCodec(name, source), False
    return kind, SerializedStreamCodec(name, source, definition), True


def _depth(source: Camera | DepthCamera | Stream) -> int:
    """How many messages of a topic the middleware keeps for the loop."""
    return max(_LEAST_NUMBERS if isinstance(source, Stream) else 1, math.ceil(_QUEUED_S * source.rate_hz))
