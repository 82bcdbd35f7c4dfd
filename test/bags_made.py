"""Bags of made-up messages, with whatever can be wrong with one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

TYPES = get_typestore(Stores.ROS2_JAZZY)
HEIGHT, WIDTH = 24, 32
START_NS = 1_795_000_000_000_000_000
SECOND = 1_000_000_000
_NAMES = {
    "/scene": "sensor_msgs/msg/Image",
    "/wrist": "sensor_msgs/msg/Image",
    "/state": "sensor_msgs/msg/JointState",
    "/command": "sensor_msgs/msg/JointState",
    "/grip": "std_msgs/msg/Float64",
    "/force": "geometry_msgs/msg/WrenchStamped",
    "/prompt": "std_msgs/msg/String",
}


@dataclass(frozen=True)
class Message:
    """A message of a made-up bag: topic, header stamp, time of reception, and the number that it carries."""

    topic: str
    stamp_ns: int
    receive_ns: int
    index: int

    def moved(self, stamp_ns: int = 0, receive_ns: int = 0) -> Message:
        return replace(self, stamp_ns=self.stamp_ns + stamp_ns, receive_ns=self.receive_ns + receive_ns)


def scene(seconds: float = 2.0) -> list[Message]:
    """All topics of the small embodiment, each at its rate and with its latency."""
    rates = {
        "/scene": (10, 12),
        "/wrist": (10, 9),
        "/state": (100, 1),
        "/command": (100, 2),
        "/grip": (20, 1),
        "/force": (50, 1),
    }
    messages = [Message("/prompt", 0, START_NS - SECOND // 2, 0)]
    for topic, (rate, latency_ms) in rates.items():
        early = SECOND // 10 if topic in ("/state", "/command", "/grip", "/force") else 0
        offset = 7_000_000 if topic == "/wrist" else 0
        for index in range(int((seconds + 2 * early / SECOND) * rate)):
            stamp_ns = START_NS - early - offset + index * SECOND // rate
            messages.append(Message(topic, stamp_ns, stamp_ns + latency_ms * 1_000_000, index))
    return sorted(messages, key=lambda message: message.receive_ns)


def image_of(topic: str, index: int) -> np.ndarray:
    """The image that a message carries."""
    values = np.arange(HEIGHT * WIDTH * 3) * 3 + index * 7 + (100 if topic == "/wrist" else 0)
    return values.astype(np.uint8).reshape(HEIGHT, WIDTH, 3)


def numbers_of(message: Message, count: int) -> np.ndarray:
    """The numbers that a message carries: each a line over time, so that interpolation is exact."""
    return (message.stamp_ns - START_NS) * 1e-9 * (1 + np.arange(count)) + np.arange(count)


def content_of(message: Message) -> Any:
    """The message as rosbags has it."""
    known, kind = TYPES.types, _NAMES[message.topic]
    if kind == "std_msgs/msg/String":
        return known[kind](data=f"prompt {message.index}")
    if kind == "std_msgs/msg/Float64":
        return known[kind](data=0.001 * message.index)
    stamp = known["builtin_interfaces/msg/Time"](sec=message.stamp_ns // SECOND, nanosec=message.stamp_ns % SECOND)
    header = known["std_msgs/msg/Header"](stamp=stamp, frame_id="here")
    if kind == "sensor_msgs/msg/Image":
        image = image_of(message.topic, message.index)
        return known[kind](header, HEIGHT, WIDTH, "rgb8", 0, WIDTH * 3, image.reshape(-1))
    if kind == "sensor_msgs/msg/JointState":
        order = ["right", "left"] if message.topic == "/state" else ["left", "right"]
        values = numbers_of(message, 2)[:: -1 if message.topic == "/state" else 1].copy()
        return known[kind](header, order, values, values * 2, np.zeros(0))
    vector = known["geometry_msgs/msg/Vector3"]
    force = vector(*(float(value) for value in numbers_of(message, 3)))
    return known[kind](header, known["geometry_msgs/msg/Wrench"](force, vector(0.0, 0.0, 0.0)))


def write_bag(
    path: Path,
    messages: Iterable[Message],
    storage: StoragePlugin = StoragePlugin.MCAP,
    compression: CompressionMode = CompressionMode.NONE,
    tail: bytes = b"",
    cut: int = 0,
) -> Path:
    """Writes messages as a bag, in the order in which they were received; with something behind each, or without its end."""
    writer = Writer(path, version=9, storage_plugin=storage)
    if compression is not CompressionMode.NONE:
        writer.set_compression(compression, CompressionFormat.ZSTD)
    with writer:
        connections = {name: writer.add_connection(name, kind, typestore=TYPES) for name, kind in _NAMES.items()}
        for message in sorted(messages, key=lambda one: one.receive_ns):
            data = bytes(TYPES.serialize_cdr(content_of(message), _NAMES[message.topic]))
            data = data[: len(data) - cut] + tail
            writer.write(connections[message.topic], message.receive_ns, data)
    return path
