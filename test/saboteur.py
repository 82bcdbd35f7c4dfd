"""A node between others: it passes topics on, and does to their messages what a test asks for."""

from __future__ import annotations

import copy
from array import array
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image, JointState
from vla_msgs.msg import ActionChunk, PolicyStatus

from vla_ros import names, qos
from vla_ros.host import NodeHost
from vla_ros.time import to_ns, to_time

Sabotage = Callable[[Any], list[Any]]  # what is passed on instead of a message


@dataclass(frozen=True)
class Relayed:
    """A topic as it is published, and as it is read."""

    kind: type
    published: str
    read: str
    profile: QoSProfile


RELAYED: Mapping[str, Relayed] = {
    "scene": Relayed(Image, "/scene/image_raw", "/relayed/scene/image_raw", qos.stream(20)),
    "wrist": Relayed(Image, "/wrist/image_raw", "/relayed/wrist/image_raw", qos.stream(20)),
    "joints": Relayed(JointState, "/franka/joint_states", "/relayed/joint_states", qos.stream(200)),
    "chunks": Relayed(ActionChunk, "upstream/action_chunk", names.ACTION_CHUNK, qos.command()),
    "policy": Relayed(PolicyStatus, "upstream/policy_status", names.POLICY_STATUS, qos.latched()),
}
# what changes in the embodiment of those who read, and how the policy_node's topics are called before they are relayed
EMBODIMENT = {
    "cameras": {role: {"topic": RELAYED[role].read} for role in ("scene", "wrist")},
    "streams": {"joints": {"topic": RELAYED["joints"].read}},
}
UPSTREAM = {relayed.read: relayed.published for name, relayed in RELAYED.items() if name in ("chunks", "policy")}


class Saboteur:
    """Relays what :data:`RELAYED` lists. Part of an application: it declares its topics on the host that it is given."""

    def __init__(self, host: NodeHost) -> None:
        self._host = host
        self._does: dict[str, Sabotage] = {}
        self._delays_ns: dict[str, int] = {}
        self._delayed: deque[tuple[int, Callable[[], None]]] = deque()
        self.began_ns: int | None = None  # when what is done now did something first
        self._images = 0
        for name, relayed in RELAYED.items():
            self._relay(name, relayed)
        host.every(10_000_000, self._pass_on_delayed)

    def does(self, sabotage: Sabotage, *which: str) -> None:
        """From now on, does this to the messages of some topics. Only while simulated time stands still."""
        self.began_ns = None
        self._does.update(dict.fromkeys(which, sabotage))

    def delays(self, duration_s: float, *which: str) -> None:
        """From now on, passes messages on so much later [s], in whole ticks."""
        self.began_ns = None
        self._delays_ns.update(dict.fromkeys(which, round(duration_s * 1e9)))

    def ends(self) -> None:
        """From now on, passes everything on as it comes."""
        self.began_ns = None
        self._does.clear()
        self._delays_ns.clear()

    def _relay(self, name: str, relayed: Relayed) -> None:
        publisher = self._host.publisher(relayed.kind, relayed.read, relayed.profile)

        def publish_all(messages: list[Any]) -> None:
            for message in messages:
                publisher.publish(message)

        def handle(message: Any, receive_ns: int) -> None:
            if relayed.kind is Image:
                self._make_noise(message)
            if self.began_ns is None and (name in self._does or name in self._delays_ns):
                self.began_ns = receive_ns
            messages = self._does[name](message) if name in self._does else [message]
            if delay_ns := self._delays_ns.get(name, 0):
                self._delayed.append((self._host.clock.now_ns() + delay_ns, lambda: publish_all(messages)))
            else:
                publish_all(messages)

        self._host.subscribe(relayed.kind, relayed.published, handle, relayed.profile)

    def _make_noise(self, image: Image) -> None:
        """A rendered image may repeat; a true camera's never does."""
        self._images += 1
        image.data[:4] = array("B", self._images.to_bytes(4, "little"))

    def _pass_on_delayed(self, now_ns: int) -> None:
        while self._delayed and self._delayed[0][0] <= now_ns:
            self._delayed.popleft()[1]()


# -- what can be done to messages ------------------------------------------------------------------------------------


def lost(message: Any) -> list[Any]:
    """Nothing arrives."""
    return []


def duplicated(message: Any) -> list[Any]:
    """Everything arrives twice."""
    return [message, message]


def changed(change: Callable[[Any], Any]) -> Sabotage:
    """A copy of each message is changed in place."""

    def sabotage(message: Any) -> list[Any]:
        changing = copy.deepcopy(message)
        change(changing)
        return [changing]

    return sabotage


def offset(seconds: float) -> Sabotage:
    """The clock of who stamps the messages is off by so much [s]."""
    by_ns = round(seconds * 1e9)

    def change(message: Any) -> None:
        message.header.stamp = to_time(to_ns(message.header.stamp) + by_ns)
        if isinstance(message, ActionChunk):
            message.first_action_time = to_time(to_ns(message.first_action_time) + by_ns)

    return changed(change)


def reordered() -> Sabotage:
    """Of two messages, the second arrives first."""
    kept: list[Any] = []

    def sabotage(message: Any) -> list[Any]:
        kept.append(message)
        if len(kept) < 2:
            return []
        return [kept.pop(), kept.pop()]

    return sabotage


def frozen() -> Sabotage:
    """A camera that repeats an image with new stamps."""
    pixels: list[array[int]] = []

    def change(message: Image) -> None:
        if not pixels:
            pixels.append(message.data)
        message.data = pixels[0]

    return changed(change)


def old_stamps() -> Sabotage:
    """A camera whose images are new and whose stamp stands still."""
    stamps: list[Any] = []

    def change(message: Image) -> None:
        stamps.append(message.header.stamp)
        message.header.stamp = stamps[0]

    return changed(change)


def permuted(message: JointState) -> list[JointState]:
    """The joints come in another order, each with its own name and values."""
    arrays = {name: array("d", reversed(getattr(message, name))) for name in ("position", "velocity", "effort")}
    return [JointState(header=message.header, name=list(reversed(message.name)), **arrays)]


def lacking(message: JointState) -> list[JointState]:
    """The last joint is not in the message."""
    arrays = {name: getattr(message, name)[:-1] for name in ("position", "velocity", "effort")}
    return [JointState(header=message.header, name=message.name[:-1], **arrays)]


def jumped(joint: int, by: float) -> Sabotage:
    """An encoder that is off by so much from now on [rad]."""

    def change(message: JointState) -> None:
        message.position[joint] += by

    return changed(change)
