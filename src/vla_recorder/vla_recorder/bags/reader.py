"""Reading a bag: its topics, and its messages in the order in which they were received."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.highlevel import AnyReader
from rosbags.interfaces import QosDurability, QosReliability
from rosbags.typesys import Stores, get_typestore

from vla_core.errors import VlaError, choice

_FILES = (".mcap", ".db3")
_BIG_ENDIAN, _LITTLE_ENDIAN = b"\x00\x00", b"\x00\x01"
_ENCAPSULATIONS = (_BIG_ENDIAN, _LITTLE_ENDIAN)
_ALIGNMENT = 8  # of CDR at most; the end of a message may be rounded up to it


class BagError(VlaError):
    """A bag is missing, is truncated or broken, or does not hold what is asked of it."""


@dataclass(frozen=True)
class BagTopic:
    """A recorded topic.

    Attributes:
        name: with its leading slash.
        type: for example ``sensor_msgs/msg/JointState``.
        count: messages in the bag.
        best_effort: whether a publisher offered no reliable delivery.
        latched: whether publishers kept messages for late joiners.
    """

    name: str
    type: str
    count: int
    best_effort: bool
    latched: bool


@dataclass(frozen=True, eq=False)
class BagMessage:
    """A message of a bag.

    Attributes:
        topic: where it was received.
        type: of the message.
        receive_ns: when the recorder received it [ns].
        value: an object with the attributes of the ROS message of that type; its numeric arrays are numpy arrays.
    """

    topic: str
    type: str
    receive_ns: int
    value: Any

    @property
    def stamp_ns(self) -> int:
        """The header stamp; for a message without a header when it was received [ns]."""
        header = getattr(self.value, "header", None)
        return self.receive_ns if header is None else header.stamp.sec * 1_000_000_000 + header.stamp.nanosec


@dataclass(frozen=True, eq=False)
class SerializedMessage:
    """A message of a bag as it was on its way.

    Attributes:
        topic: where it was received.
        type: of the message.
        receive_ns: when the recorder received it [ns].
        data: as the middleware serialized it (CDR).
    """

    topic: str
    type: str
    receive_ns: int
    data: bytes


class BagReader:
    """A bag, open for reading: a folder with ``metadata.yaml``, or a single ``.mcap`` or ``.db3`` file.

    Use it with ``with``, or call :meth:`close`. Messages are read from the disk when they are asked for. Message types are those
    that the bag describes; a bag without descriptions (before ROS 2 Jazzy, in sqlite3) is read with the types of Jazzy.
    """

    def __init__(self, path: Path | str) -> None:
        """Opens a bag.

        Raises:
            BagError: there is none, or it is not whole.
        """
        self.path = Path(path)
        _require_bag(self.path)
        with self._reported("expected a whole bag"):
            self._reader = AnyReader([self.path], default_typestore=get_typestore(Stores.ROS2_JAZZY))
            self._reader.open()
        self.topics: dict[str, BagTopic] = {}
        try:
            for connection in self._reader.connections:
                self._add(connection)
        except BagError:
            self.close()
            raise

    def close(self) -> None:
        if self._reader.stack is not None:
            self._reader.close()

    def __enter__(self) -> BagReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def require(self, *names: str) -> None:
        """Raises BagError if one of these topics is not in the bag; it names those that are."""
        missing = [name for name in names if name not in self.topics]
        if missing:
            raise BagError(f"{self.path}: expected the topics {', '.join(missing)}, found only {self._listed()}")

    def messages(self, topics: Iterable[str] | None = None) -> Iterator[BagMessage]:
        """Reads the messages of some topics (default: all), oldest first by the time of their reception.

        Raises:
            BagError: a topic is not in the bag, or the bag is broken at some place.
        """
        for message in self.serialized(topics):
            yield BagMessage(message.topic, message.type, message.receive_ns, self.deserialized(message))

    def serialized(self, topics: Iterable[str] | None = None) -> Iterator[SerializedMessage]:
        """Reads messages as :meth:`messages` does, without looking into them. Raises BagError."""
        names = list(self.topics if topics is None else topics)
        self.require(*names)
        connections = [connection for connection in self._reader.connections if connection.topic in names]
        if not connections:
            return
        raw = iter(self._reader.messages(connections=connections))
        while True:
            with self._reported("expected a whole message"):
                entry = next(raw, None)
            if entry is None:
                return
            connection, receive_ns, data = entry
            yield SerializedMessage(connection.topic, connection.msgtype, receive_ns, data)

    def deserialized(self, message: SerializedMessage) -> Any:
        """What a message holds: an object with the attributes of the ROS message of its type. Raises BagError.

        Bytes behind its last value are no error: ``rclpy.serialization.serialize_message``, with which Python programs write
        bags, leaves some there, and ROS does not look at them.
        """
        with self._reported("expected a whole message"):
            encapsulation = bytes(message.data[:2])
            if encapsulation not in _ENCAPSULATIONS:
                raise ValueError(f"encapsulation {encapsulation.hex()} is not that of plain CDR")
            known = self._reader.typestore.get_msgdef(message.type)
            read = known.deserialize_cdr_be if encapsulation == _BIG_ENDIAN else known.deserialize_cdr_le
            value, end = read(memoryview(message.data)[4:], 0, known.cls, self._reader.typestore)
            if end - _ALIGNMENT >= len(message.data) - 4:
                raise ValueError(f"{len(message.data)} bytes, at least {end + 4} needed")
            return value

    def _add(self, connection: Any) -> None:
        """Takes a connection; a topic may have several."""
        offered = connection.ext.offered_qos_profiles
        known = self.topics.get(connection.topic)
        if known is not None and known.type != connection.msgtype:
            raise BagError(
                f"{self.path}: {connection.topic}: expected messages of one type, found {known.type} and {connection.msgtype}"
            )
        self.topics[connection.topic] = BagTopic(
            name=connection.topic,
            type=connection.msgtype,
            count=connection.msgcount + (known.count if known else 0),
            best_effort=any(qos.reliability == QosReliability.BEST_EFFORT for qos in offered)
            or bool(known and known.best_effort),
            latched=any(qos.durability == QosDurability.TRANSIENT_LOCAL for qos in offered)
            or bool(known and known.latched),
        )

    def _listed(self) -> str:
        return ", ".join(f"{topic.name} ({topic.type})" for topic in self.topics.values()) or "none"

    @contextmanager
    def _reported(self, expected: str) -> Iterator[None]:
        """Whatever is wrong with a bag becomes a BagError: broken bytes fail anywhere in the library, in many ways."""
        try:
            yield
        except Exception as error:
            raise BagError(f"{self.path}: {expected}, found it broken or cut off: {error}") from error


def _require_bag(path: Path) -> None:
    """Raises BagError if a path is nothing that could be a bag."""
    if not path.exists():
        raise BagError(f"{path}: expected a bag, found nothing")
    if path.is_dir() and not (path / "metadata.yaml").is_file():
        raise BagError(
            f"{path}: expected a bag with its metadata.yaml, found a folder without; ros2 bag reindex makes it"
        )
    if path.is_file() and path.suffix not in _FILES:
        raise BagError(f"{path}: expected the folder of a bag, or a file that ends in {choice(_FILES)}")
