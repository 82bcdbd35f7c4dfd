"""Findings about the machine: Python, system packages, disk, memory, GPU."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path

from vla.doctor.finding import Finding, ProbeFailed, Status, run_probe
from vla.setup.debian import Need, advice
from vla.setup.packages import NVIDIA_DRIVER

_GB = 1 << 30
_MB = 1 << 20
_DISK_FAIL = 1 * _GB
_DISK_WARN = 10 * _GB  # some hundred episodes with two cameras
_SHARED_MEMORY = 128 * _MB  # Fast DDS keeps a segment of several images for every process; containers begin with 64 MB

_TORCH_PROBE = (
    "import json, torch;"
    "gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else '';"
    "print(json.dumps({'version': torch.__version__, 'gpu': gpu}))"
)


def examine_python() -> Finding:
    found = f"{platform.python_version()} in {sys.prefix}"
    if (3, 10) <= sys.version_info[:2] <= (3, 12):
        return Finding("python", "ok", found)
    return Finding("python", "fail", found, "vla runs on Python 3.10 to 3.12: ./vla setup --force")


def examine_system_packages(needs: list[Need]) -> Finding:
    """Whether the Debian packages are there that the set-up and the simulation need."""
    missing = [need for need in needs if not need.present()]
    if not missing:
        return Finding("system packages", "ok", f"all {len(needs)} there")
    status: Status = "fail" if any(need.required for need in missing) else "warn"
    return Finding("system packages", status, f"{len(missing)} of {len(needs)} missing", advice(missing))


def examine_disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    found = f"{free / _GB:.1f} GB free in {folder}"
    if free < _DISK_FAIL:
        return Finding("disk", "fail", found, "make room: recording stops when the disk is full")
    if free < _DISK_WARN:
        return Finding("disk", "warn", found, "make room: an episode of 20 s takes about 30 MB")
    return Finding("disk", "ok", found)


def examine_shared_memory(folder: Path = Path("/dev/shm")) -> Finding:
    """The memory through which DDS hands images from process to process."""
    if not folder.is_dir():
        return Finding("shared memory", "warn", f"no {folder}", "images travel over UDP: slower; mount a tmpfs there")
    usage = shutil.disk_usage(folder)
    found = f"{usage.free / _MB:.0f} of {usage.total / _MB:.0f} MB free in {folder}"
    if usage.free < _SHARED_MEMORY:
        more = f"expected at least {_SHARED_MEMORY // _MB} MB: in a container, --shm-size=512m; else remove old files there"
        return Finding("shared memory", "warn", found, more)
    return Finding("shared memory", "ok", found)


def examine_torch() -> Finding:
    """Whether torch runs, and on the GPU if there is one."""
    if os.environ.get("VLA_SKIP_TORCH", "0") not in ("", "0"):
        return Finding("torch", "ok", "left out (VLA_SKIP_TORCH): this machine neither trains nor runs policies")
    try:
        torch = run_probe(["-c", _TORCH_PROBE], timeout_s=120)
    except ProbeFailed as error:
        return Finding("torch", "fail", str(error), "./vla setup --force")
    if torch["gpu"]:
        return Finding("torch", "ok", f"{torch['version']} on {torch['gpu']}")
    if NVIDIA_DRIVER.exists():
        again = "the build is for the CPU, or too new for the driver: ./vla setup --force, or update the driver"
        return Finding("torch", "warn", f"{torch['version']}, not using the NVIDIA GPU", again)
    return Finding("torch", "ok", f"{torch['version']} on the CPU (no NVIDIA driver)")
