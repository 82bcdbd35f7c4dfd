"""What is usual: a control loop and inference in one Python process. ``python -m bench.support.one_process POLICY RATE_HZ FILE``.

The loop sleeps until absolute deadlines and publishes the same command at each, which is less than a control loop does; a
thread beside it infers, one chunk after the other.
"""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

import rclpy
from std_msgs.msg import Float64MultiArray

from bench.support.bare_loop import keep_rate
from bench.support.chunk_source import COMMANDS
from bench.support.processes import READY
from bench.support.timed_command_node import LatenessLog
from vla_policies import load
from vla_ros import qos

_JOINTS = 7


def infer(policy_folder: Path, ready: threading.Event, ended: threading.Event) -> None:
    policy = load(policy_folder, device="cpu")
    policy.warm_up()
    ready.set()
    while not ended.is_set():
        policy.warm_up()  # an inference, or two where chunks go on from each other


def main() -> None:
    policy_folder, rate_hz, file = Path(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3])
    ended, ready, log = threading.Event(), threading.Event(), LatenessLog()
    rclpy.init(signal_handler_options=rclpy.SignalHandlerOptions.NO)
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    publisher = rclpy.create_node("bench_one_process").create_publisher(Float64MultiArray, COMMANDS, qos.command())
    command = Float64MultiArray(data=[0.0] * _JOINTS)
    thread = threading.Thread(target=infer, args=(policy_folder, ready, ended))
    thread.start()
    ready.wait()
    print(READY, flush=True)
    keep_rate(rate_hz, log, ended, lambda: publisher.publish(command))
    thread.join()
    log.save(file)


if __name__ == "__main__":
    main()
