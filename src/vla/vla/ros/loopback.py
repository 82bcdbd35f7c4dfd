"""Sends a message to itself over DDS and prints how long it took to come back: ``python -m vla.ros.loopback``."""

from __future__ import annotations

import json
import sys
import time

import rclpy
from rclpy.qos import QoSProfile
from std_msgs.msg import String

_LIMIT_S = 20.0
_PERIOD_S = 0.05


def main() -> int:
    rclpy.init()
    node = rclpy.create_node("vla_doctor")
    received: list[String] = []
    node.create_subscription(String, "vla_doctor", received.append, QoSProfile(depth=1))
    publisher = node.create_publisher(String, "vla_doctor", QoSProfile(depth=1))
    begin = time.monotonic()
    while not received and time.monotonic() - begin < _LIMIT_S:
        publisher.publish(String(data="hello"))  # again and again: a publisher may come before its subscription
        rclpy.spin_once(node, timeout_sec=_PERIOD_S)
    elapsed = time.monotonic() - begin
    rmw = rclpy.get_rmw_implementation_identifier()
    rclpy.shutdown()
    if not received:
        sys.stderr.write(f"no message came back within {_LIMIT_S:.0f} s over {rmw}\n")
        return 1
    sys.stdout.write(json.dumps({"discovery_s": elapsed, "rmw": rmw}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
