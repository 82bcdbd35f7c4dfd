"""A process that sends chunks of a slow wave at a steady rate, and does next to nothing: ``python -m bench.support.chunk_source
EMBODIMENT PERIOD_S POSITION...``.

Stands in for a policy where a command_node shall have the same chunks to execute whether something is inferred or not, and for a
controller that its commands reach.
"""

from __future__ import annotations

import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import rclpy
from std_msgs.msg import Float64MultiArray
from vla_msgs.msg import ActionChunk

from bench.support.processes import READY
from vla_core.embodiment import load_embodiment
from vla_core.steps import blank_observation
from vla_policy_node.fake import FakePolicy
from vla_ros import names, qos
from vla_ros.codecs.chunks import chunk_message

COMMANDS = "/bench/commands"


def main() -> None:
    embodiment, period_s = load_embodiment(Path(sys.argv[1])), float(sys.argv[2])
    seen = blank_observation(embodiment)
    qpos = seen.proprioception["qpos"]
    qpos[: len(embodiment.joints)] = np.array([float(value) for value in sys.argv[3:]])
    rclpy.init(signal_handler_options=rclpy.SignalHandlerOptions.NO)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    node = rclpy.create_node("bench_chunk_source")
    node.create_subscription(Float64MultiArray, COMMANDS, lambda _: None, qos.command())
    publisher = node.create_publisher(ActionChunk, names.ACTION_CHUNK, qos.command())
    policy = FakePolicy(embodiment)
    print(READY, flush=True)
    begin, number = time.monotonic(), 0
    while True:
        chunk = policy.infer(replace(seen, stamp_ns=time.time_ns()))
        publisher.publish(chunk_message(chunk, embodiment.action_units))
        number += 1
        time.sleep(max(0.0, begin + number * period_s - time.monotonic()))


if __name__ == "__main__":
    main()
