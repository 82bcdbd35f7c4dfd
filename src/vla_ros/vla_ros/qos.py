"""Quality-of-service profiles by what a topic is for."""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy


def stream(depth: int = 50, reliability: str = "reliable") -> QoSProfile:
    """Sensor data that must not be lost on the way; ``best_effort`` where the publisher is so."""
    policy = ReliabilityPolicy.BEST_EFFORT if reliability == "best_effort" else ReliabilityPolicy.RELIABLE
    return QoSProfile(depth=depth, reliability=policy, history=HistoryPolicy.KEEP_LAST)


def command(depth: int = 10) -> QoSProfile:
    """Commands and chunks: reliable, and never repeated to somebody who joins later."""
    return QoSProfile(depth=depth, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.VOLATILE)


def latched(depth: int = 50) -> QoSProfile:
    """State that a late joiner must have too; deep enough that none is lost when several are published at once."""
    return QoSProfile(depth=depth, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
