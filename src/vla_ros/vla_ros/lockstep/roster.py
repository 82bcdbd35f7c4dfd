"""Who publishes and subscribes to what in a lockstep run, and when everybody has found everybody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from vla_msgs.msg import LockstepRoster

from vla_core.errors import VlaError
from vla_ros.data_topics import DataPublisher, DataTopic

TICK_TOPIC = "/lockstep/tick"
ACK_TOPIC = "/lockstep/ack"
ROSTER_TOPIC = "/lockstep/roster"
TOTAL_TOPIC = "/lockstep/total"
DEPTH = 100  # ticks and acks in flight: two at the most


class LockstepError(VlaError):
    """A participant of a lockstep run is missing or has stopped answering."""


def roster_of(participant: str, topics: Iterable[DataTopic], publishers: Iterable[DataPublisher]) -> LockstepRoster:
    """What one participant publishes and subscribes to."""
    published = Counter(publisher.topic for publisher in publishers)
    subscribed = Counter(topic.topic for topic in topics)
    return _message(participant, published, subscribed)


def total_of(rosters: Iterable[LockstepRoster]) -> LockstepRoster:
    """The sum of all rosters."""
    published: Counter[str] = Counter()
    subscribed: Counter[str] = Counter()
    for roster in rosters:
        published.update(dict(zip(roster.topics, roster.publishers, strict=True)))
        subscribed.update(dict(zip(roster.topics, roster.subscriptions, strict=True)))
    return _message("", published, subscribed)


def unmatched(total: LockstepRoster, topics: Iterable[DataTopic], publishers: Iterable[DataPublisher]) -> list[str]:
    """Own topics that have not found all the peers that the sum of the rosters promises."""
    published = dict(zip(total.topics, total.publishers, strict=True))
    subscribed = dict(zip(total.topics, total.subscriptions, strict=True))
    missing = [
        publisher.topic
        for publisher in publishers
        if publisher.publisher.get_subscription_count() < subscribed.get(publisher.topic, 0)
    ]
    missing += [
        topic.topic for topic in topics if topic.subscription.get_publisher_count() < published.get(topic.topic, 0)
    ]
    return missing


def _message(participant: str, published: Counter[str], subscribed: Counter[str]) -> LockstepRoster:
    topics = sorted({*published, *subscribed})
    return LockstepRoster(
        participant=participant,
        topics=topics,
        publishers=[published[topic] for topic in topics],
        subscriptions=[subscribed[topic] for topic in topics],
    )
