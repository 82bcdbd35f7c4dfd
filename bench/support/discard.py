"""A process that subscribes to the robot of the benchmark and throws everything away: ``python -m bench.support.discard WAY``.

What a recorder's cost is compared with. Which executor is the cheapest is found by trying. ``LOOP`` is no executor at all: it
takes what the middleware has every 10 ms, which is the least that can be done with these messages in Python.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.experimental import EventsExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image, JointState

from bench.support.processes import READY
from bench.support.robot import Robot

EXECUTORS = ("events-raw", "events-typed", "single-raw", "single-typed")
LOOP = "drain-raw-10"
_DEPTH = 200


def subscribe(node: Node, robot: Robot, raw: bool) -> list[Any]:
    profile = QoSProfile(depth=_DEPTH)
    topics = [(Image, robot.topic(role)) for role in robot.roles] + [(JointState, robot.topic("joints"))]
    return [node.create_subscription(kind, topic, lambda _: None, profile, raw=raw) for kind, topic in topics]


def drain(subscriptions: list[Any], period_s: float) -> None:
    """Takes what is there, every so often: no executor at all."""
    due = time.monotonic()
    print(READY, flush=True)
    while rclpy.ok():
        for subscription in subscriptions:
            with subscription.handle:
                take = subscription.handle.take_message
                while take(subscription.msg_type, subscription.raw) is not None:
                    pass
        due += period_s
        time.sleep(max(0.0, due - time.monotonic()))


def spin(executor: SingleThreadedExecutor | EventsExecutor, node: Node) -> None:
    executor.add_node(node)
    print(READY, flush=True)
    with suppress(ExternalShutdownException):
        executor.spin()


def main() -> None:
    way, form, *period_ms = sys.argv[1].split("-")
    rclpy.init()
    node = rclpy.create_node("bench_discard")
    subscriptions = subscribe(node, Robot(), raw=form == "raw")
    if way == "drain":
        drain(subscriptions, float(period_ms[0]) * 1e-3)
    else:
        spin(EventsExecutor() if way == "events" else SingleThreadedExecutor(), node)
    node.destroy_node()  # so that the source need not find out that nobody listens any more
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()
