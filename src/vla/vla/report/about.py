"""Where a report was made: the machine and the software."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from vla_core import __version__

_CPU_INFO = Path("/proc/cpuinfo")
_GIB = 1 << 30


def machine() -> str:
    """The processor, how many of its cores this process may use, and the memory."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB
    return f"{_processor()}, {cores()} cores, {memory_gib:.0f} GiB memory"


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def versions(distributions: Iterable[str] = ("rclpy", "mujoco", "torch", "numpy")) -> dict[str, str]:
    """Versions of this suite, of Python and of those of the distributions that are installed."""
    found = {"vla": __version__, "Python": platform.python_version()}
    if os.environ.get("ROS_DISTRO"):
        found["ROS"] = os.environ["ROS_DISTRO"]
    for name in distributions:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        lines = _CPU_INFO.read_text().splitlines()
    except OSError:
        return platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())
