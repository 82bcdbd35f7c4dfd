"""How a loop that keeps time is scheduled: each case in a process of its own, which is changed for good."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest

PROGRAM = """
import os, resource, sys, threading
from vla_ros.scheduling import keep_time
{before}
print(keep_time(int(sys.argv[1])))
print(os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK, os.sched_getparam(0).sched_priority)
found = []
thread = threading.Thread(target=lambda: found.append(os.sched_getscheduler(0)))
thread.start(); thread.join()
print(found[0])
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmLck")))
"""
# what a user without any rights has: no capability, and the usual limits
UNPRIVILEGED = """
resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
resource.setrlimit(resource.RLIMIT_MEMLOCK, (8 << 20, 8 << 20))
if os.geteuid() == 0:
    os.setresuid(65534, 65534, 65534)
"""


def scheduled(priority: int, before: str = "") -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(before=before), str(priority)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_nothing_is_changed_with_priority_zero() -> None:
    said, policy, _, locked = scheduled(0)
    assert said == "SCHED_OTHER: realtime_priority is 0"
    assert policy == f"{os.SCHED_OTHER} 0"
    assert locked == "0"


def test_without_permission_the_loop_goes_on_and_says_why() -> None:
    said, policy, of_thread, locked = scheduled(60, UNPRIVILEGED)
    assert said.startswith("SCHED_OTHER: SCHED_FIFO 60 is not permitted (")
    assert said.endswith(f"memory not locked: memlock is {8 << 20} bytes, expected unlimited")
    assert (policy, of_thread, locked) == (f"{os.SCHED_OTHER} 0", str(os.SCHED_OTHER), "0")


def permitted() -> bool:
    """Whether this user may, asked of the system in another process."""
    attempt = "import os; os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(60))"
    return subprocess.run([sys.executable, "-c", attempt], capture_output=True).returncode == 0


@pytest.mark.skipif(not permitted(), reason="needs the permission for SCHED_FIFO")
def test_with_permission_the_loop_has_priority_and_its_threads_have_not() -> None:
    said, policy, of_thread, locked = scheduled(60)
    assert said.startswith("SCHED_FIFO 60, ")
    assert policy == f"{os.SCHED_FIFO} 60"
    assert of_thread == str(os.SCHED_OTHER)
    limited = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] != resource.RLIM_INFINITY and os.geteuid() != 0
    assert said.endswith("memory locked") == (not limited)
    assert (int(locked) > 0) == (not limited)
