"""What is usual: a control loop and inference in one Python process. ``python -m bench.support.one_process POLICY RATE_HZ FILE``.

The loop sleeps until absolute deadlines and does nothing else; a thread beside it infers, one chunk after the other.
"""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

from bench.support.bare_loop import keep_rate
from bench.support.processes import READY
from bench.support.timed_command_node import LatenessLog
from vla_policies import load


def infer(policy_folder: Path, ready: threading.Event, ended: threading.Event) -> None:
    policy = load(policy_folder, device="cpu")
    policy.warm_up()
    ready.set()
    while not ended.is_set():
        policy.warm_up()  # an inference, or two where chunks go on from each other


def main() -> None:
    policy_folder, rate_hz, file = Path(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3])
    ended, ready, log = threading.Event(), threading.Event(), LatenessLog()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    thread = threading.Thread(target=infer, args=(policy_folder, ready, ended))
    thread.start()
    ready.wait()
    print(READY, flush=True)
    keep_rate(rate_hz, log, ended)
    thread.join()
    log.save(file)


if __name__ == "__main__":
    main()
