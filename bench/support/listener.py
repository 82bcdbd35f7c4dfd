"""A process that commands reach, instead of a controller: ``python -m bench.support.listener``."""

from __future__ import annotations

import signal
import threading

import rclpy
from std_msgs.msg import Float64MultiArray

from bench.support.chunk_source import COMMANDS
from bench.support.processes import READY
from vla_ros import qos


def main() -> None:
    ended = threading.Event()
    rclpy.init(signal_handler_options=rclpy.SignalHandlerOptions.NO)
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    node = rclpy.create_node("bench_listener")
    node.create_subscription(Float64MultiArray, COMMANDS, lambda _: None, qos.command())
    print(READY, flush=True)
    ended.wait()


if __name__ == "__main__":
    main()
