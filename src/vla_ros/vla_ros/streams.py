"""The streams of an embodiment as subscriptions: the one way in which recorder and policy see the robot."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sensor_msgs.msg import Image

from vla_core.alignment import Aligner, StreamMonitor, StreamStatus, stamp_of
from vla_core.embodiment import Embodiment
from vla_core.embodiment.schema import Camera, Stream
from vla_core.errors import VlaError
from vla_core.observation import Sample, Step
from vla_ros import qos
from vla_ros.codecs.fields import StreamCodec, message_type
from vla_ros.codecs.images import image_of
from vla_ros.host import NodeHost
from vla_ros.time import to_ns

_DEPTH = 200  # a 1 kHz stream while the loop is busy for 0.2 s


class StreamSubscriptions:
    """Subscribes to streams, aligns them to steps, and keeps watch over how they arrive.

    A message that does not hold what is declared is an event: told once when the stream goes bad and once when it is well
    again; its values are never used.

    Args:
        host: of the node.
        embodiment: declares the streams.
        names: which cameras and streams.
        on_native: takes every message of the streams that the embodiment keeps at their own rate.
    """

    def __init__(
        self,
        host: NodeHost,
        embodiment: Embodiment,
        names: Iterable[str],
        on_native: Callable[[str, Sample], None] | None = None,
    ) -> None:
        self.names = tuple(names)
        self._host = host
        self._on_native = on_native
        self._aligner = Aligner(embodiment, self.names)
        self._monitors: dict[str, StreamMonitor] = {}
        self._sources: dict[str, Camera | Stream] = {}
        self._topics: dict[str, str] = {}  # as they are called after namespace and remapping
        self.problems: dict[str, str] = {}
        for name in self.names:
            if name in embodiment.cameras:
                self._add_camera(name, embodiment.cameras[name])
            else:
                self._add_stream(name, embodiment.streams[name])

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

    def _add_camera(self, role: str, camera: Camera) -> None:
        self._sources[role] = camera
        self._subscribe(role, camera, Image, lambda message: image_of(message, role, camera))

    def _add_stream(self, name: str, stream: Stream) -> None:
        self._sources[name] = stream
        self._subscribe(name, stream, message_type(stream.type), StreamCodec(name, stream).read)

    def _subscribe(self, name: str, source: Camera | Stream, kind: type, read: Callable[[Any], Any]) -> None:
        by_header = source.stamp == "header"
        on_native = self._on_native if isinstance(source, Stream) and source.native else None
        monitor = self._monitors[name] = StreamMonitor(source.rate_hz)

        def handle(message: Any, receive_ns: int) -> None:
            try:
                header_ns = to_ns(message.header.stamp) if by_header else None
                stamp_ns = stamp_of(name, source, header_ns, receive_ns)
                monitor.note(stamp_ns, receive_ns)
                value = read(message)
            except VlaError as error:
                self._went_bad(name, str(error))
                return
            self._is_well(name)
            sample = Sample(stamp_ns, receive_ns, value)
            self._aligner.push(name, sample)
            if on_native is not None:
                on_native(name, sample)

        entry = self._host.subscribe(kind, source.topic, handle, qos.stream(_DEPTH, source.reliability))
        self._topics[name] = entry.topic

    def _went_bad(self, name: str, reason: str) -> None:
        if name not in self.problems:
            self._host.node.get_logger().error(reason)
        self.problems[name] = reason

    def _is_well(self, name: str) -> None:
        if self.problems.pop(name, None):
            self._host.node.get_logger().info(f"stream '{name}' is well again")
