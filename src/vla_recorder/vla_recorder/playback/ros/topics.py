"""Publishes the topics of a bag or an episode again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vla_core.errors import StreamError
from vla_recorder.playback.bag_source import BagSource
from vla_recorder.playback.episode_source import EpisodeSource
from vla_recorder.playback.ros.messages import Move, StreamMessages, message_from
from vla_recorder.playback.source import Event, PlaybackError, PlayedTopic
from vla_ros import qos
from vla_ros.codecs.definitions import message_type
from vla_ros.codecs.images import image_message
from vla_ros.data_topics import DataPublisher
from vla_ros.host import NodeHost

_DEPTH = 200  # a 1 kHz topic while a subscriber is busy for 0.2 s

# what makes a robot move if a controller listens: played to listeners only when asked for
_MOVES = {
    "trajectory_msgs/msg/JointTrajectory",
    "trajectory_msgs/msg/JointTrajectoryPoint",
    "std_msgs/msg/Float64MultiArray",
    "geometry_msgs/msg/Twist",
    "geometry_msgs/msg/TwistStamped",
    "vla_msgs/msg/ActionChunk",
}

Maker = Callable[[Event, Move], Any]


class TopicPlayer:
    """Publishes every topic with its own type. What cannot be published, or had better not be, is left out with one warning.

    Left out are topics whose type is not installed, or is another one here; and commands that somebody listens to, unless they
    are asked for: nobody expects the robot to move because a recording is looked at.

    Args:
        host: of the node.
        source: what to play.
        commands: whether commands are published even if somebody listens to them.
        stamps_moved: whether stamps say when a message is played, or what they said.

    Raises:
        PlaybackError: no type is installed.
    """

    def __init__(self, host: NodeHost, source: BagSource | EpisodeSource, commands: bool, stamps_moved: bool) -> None:
        self._logger = host.node.get_logger()
        self._node = host.node
        self._stamps_moved = stamps_moved
        self._publishers: dict[str, DataPublisher] = {}
        self._make: dict[str, Maker] = {}
        self._guarded = {name for name, topic in source.topics.items() if topic.type in _MOVES and not commands}
        for topic in source.topics.values():
            self._add(host, source, topic)
        if not self._publishers:
            raise PlaybackError("expected a topic whose message type is installed here, found none")

    @property
    def topics(self) -> tuple[str, ...]:
        """What is published."""
        return tuple(self._publishers)

    def check(self, now_ns: int) -> None:
        """Warns of topics that somebody else publishes too: nobody could tell one from the other."""
        for topic in self._publishers:
            if self._node.count_publishers(topic) > 1:
                self._logger.warning(f"{topic} is published by somebody else too")

    def play(self, event: Event, move: Move) -> bool:
        """Publishes an event; returns whether it was."""
        make, publisher = self._make.get(event.topic), self._publishers[event.topic]
        if make is None:
            return False
        if event.topic in self._guarded and publisher.publisher.get_subscription_count():
            self._leave_out(event.topic, "somebody listens to it, and it may move a robot; name it if that is meant")
            return False
        try:
            publisher.publish(make(event, move if self._stamps_moved else _unmoved))
        except StreamError as error:
            self._leave_out(event.topic, str(error))
            return False
        return True

    def _leave_out(self, topic: str, reason: str) -> None:
        self._make.pop(topic, None)
        self._logger.warning(f"{topic} is left out: {reason}")

    def _add(self, host: NodeHost, source: BagSource | EpisodeSource, topic: PlayedTopic) -> None:
        try:
            kind = message_type(topic.type)
            self._make[topic.name] = _maker(source, topic.name)
        except StreamError as error:
            self._leave_out(topic.name, str(error))
            return
        reliability = "best_effort" if topic.best_effort else "reliable"
        profile = qos.latched() if topic.latched else qos.stream(_DEPTH, reliability)
        self._publishers[topic.name] = host.publisher(kind, topic.name, profile)


def _maker(source: BagSource | EpisodeSource, topic: str) -> Maker:
    """How a topic's events become messages."""
    if isinstance(source, BagSource):
        return lambda event, move: message_from(event.value, move)
    name = source.names[topic]
    if name in source.embodiment.cameras:
        return lambda event, move: image_message(event.value, move(_stamp(event)), name)
    stream = StreamMessages(source.embodiment.streams[name])
    return lambda event, move: stream.message(event.value, move(_stamp(event)))


def _stamp(event: Event) -> int:
    return event.time_ns if event.stamp_ns is None else event.stamp_ns


def _unmoved(stamp_ns: int) -> int:
    return stamp_ns
