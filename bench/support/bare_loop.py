"""What the machine itself is worth: a loop that keeps time at a priority and does nothing.

``python -m bench.support.bare_loop RATE_HZ PRIORITY FILE``

Its deadlines lie half a period beside those of what is measured.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bench.support.processes import READY
from bench.support.timed_command_node import LatenessLog
from vla_ros.scheduling import keep_time


def keep_rate(
    rate_hz: float, log: LatenessLog, ended: threading.Event, serve: Callable[[], None] | None = None
) -> None:
    """Sleeps until absolute deadlines, and serves them; without ``serve`` it does nothing. Notes when that has been done."""
    period_ns = round(1e9 / rate_hz)
    due_ns = (time.monotonic_ns() // period_ns + 1) * period_ns + period_ns // 2
    while not ended.is_set():
        time.sleep(max(0, due_ns - time.monotonic_ns()) * 1e-9)
        if serve:
            serve()
        late_ns = time.monotonic_ns() - due_ns
        log.note(late_ns)
        due_ns += (late_ns // period_ns + 1) * period_ns


def main() -> None:
    rate_hz, priority, file = float(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    ended, log = threading.Event(), LatenessLog()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    keep_time(priority)
    print(READY, flush=True)
    keep_rate(rate_hz, log, ended)
    log.save(file)


if __name__ == "__main__":
    main()
