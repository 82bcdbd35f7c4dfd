"""Has the operating system run a node's loop before everything else: SCHED_FIFO, memory that stays, no pauses to collect garbage.

Only the loop's thread gets the priority, as a rule. Threads that it starts afterwards, and those of the middleware, which are
there already, stay what they are: a computation in one of them must not stand in the way of another process's control loop.
What is not permitted is left out, and said in one line; nothing else changes.
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import sys
from pathlib import Path

_MLOCK_CURRENT = 1  # MCL_CURRENT of <sys/mman.h>
_CAP_IPC_LOCK = 14  # <linux/capability.h>
_SET_TIMER_SLACK = 29  # <linux/prctl.h>
_SWITCH_S = 0.0005


def keep_time(priority: int, middleware_too: bool = False) -> str:
    """Prepares the calling thread for keeping time.

    Args:
        priority: of SCHED_FIFO, 1 to 99; 0 leaves everything as it is.
        middleware_too: for a process that does nothing else: all threads that it has get the priority, because the
            middleware's hold locks that a publisher waits for.

    Returns:
        How the thread is scheduled from now on, in one line: ``SCHED_FIFO 60, memory locked``.
    """
    if priority == 0:
        return "SCHED_OTHER: realtime_priority is 0"
    gc.collect()
    gc.freeze()  # what is there now stays: later collections need not look at it
    sys.setswitchinterval(_SWITCH_S)  # so long may a service's thread hold the interpreter while the loop wants it
    _libc().prctl(_SET_TIMER_SLACK, 1, 0, 0, 0)  # without it the system may add 50 us to each wait
    threads = map(int, os.listdir("/proc/self/task")) if middleware_too else [0]
    said = [_raise_priority(priority, thread) for thread in threads]
    return f"{said[0]}, {_lock_memory()}"


def _raise_priority(priority: int, thread: int) -> str:
    """Asks for SCHED_FIFO for a thread, by the system's number of it; 0 is the calling one."""
    try:
        os.sched_setscheduler(thread, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
    except (PermissionError, ProcessLookupError, ValueError) as error:
        limit = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
        return f"SCHED_OTHER: SCHED_FIFO {priority} is not permitted ({error}; rtprio is {limit})"
    return f"SCHED_FIFO {priority}"


def _lock_memory() -> str:
    """Keeps the pages in memory that the process has now.

    Not those to come: the middleware maps tens of megabytes for each process that joins the graph, and locking these held up
    every thread for up to a third of a second.
    """
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    if limit != resource.RLIM_INFINITY and not _has_capability(_CAP_IPC_LOCK):
        # below a finite limit locking may work now, and make an allocation fail later
        return f"memory not locked: memlock is {limit} bytes, expected unlimited"
    if _libc().mlockall(_MLOCK_CURRENT) != 0:
        return f"memory not locked: {os.strerror(ctypes.get_errno())}"
    return "memory locked"


def _has_capability(number: int) -> bool:
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            return bool(int(value, 16) >> number & 1)
    return False


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
