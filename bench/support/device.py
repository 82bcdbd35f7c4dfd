"""A device's own limits, measured: how fast it reads memory and multiplies matrices; and how much memory was taken at most."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

_KIB = 1024
_COPIED = {"cpu": 128 << 20, "cuda": 1 << 30}  # bytes; beyond what any cache holds
_SIDE = {"cpu": 2048, "cuda": 8192}  # of the square matrices that are multiplied
_ROWS = 1 << 13  # of the matrix that is multiplied by a vector
_ROUNDS = {"cpu": 5, "cuda": 20}


@dataclass(frozen=True)
class Roofline:
    """What no program on the device exceeds.

    Attributes:
        bandwidth: of its memory [bytes/s].
        flops: of a large matrix product in the precision of the network [1/s].
    """

    bandwidth: float
    flops: float

    def seconds(self, read_bytes: int, flops: int) -> float:
        """The least time for so much to read and so much to compute, if both go on at the same time."""
        return max(read_bytes / self.bandwidth, flops / self.flops)


def measure_roofline(device: torch.device, dtype: torch.dtype) -> Roofline:
    """Measures with as many threads as the networks get; the best of several rounds."""
    return Roofline(_bandwidth(device, dtype), _flops(device, dtype))


def describe(device: torch.device) -> dict[str, Any]:
    """The name of the device, and how many threads compute on it."""
    if device.type == "cuda":
        return {"device": torch.cuda.get_device_name(device), "torch": torch.__version__}
    return {"device": _processor(), "threads": torch.get_num_threads(), "torch": torch.__version__}


def free_bytes(device: torch.device) -> int:
    """Memory that can be had on the device."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else _kib_of("/proc/meminfo", "MemAvailable")


class PeakMemory:
    """How far the memory of this process on a device has grown at most since this was made."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.init()  # before that there are no statistics
            torch.cuda.reset_peak_memory_stats(device)
            self._begin = torch.cuda.memory_allocated(device)
        else:
            Path("/proc/self/clear_refs").write_text("5")  # the peak is what there is now
            self._begin = _kib_of("/proc/self/status", "VmRSS")

    def bytes(self) -> int:
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) - self._begin
        return _kib_of("/proc/self/status", "VmHWM") - self._begin


def _bandwidth(device: torch.device, dtype: torch.dtype) -> float:
    """The better of copying, which reads and writes, and of a matrix times a vector, which only reads."""
    size = _COPIED[device.type]
    matrix = torch.ones((_ROWS, size // dtype.itemsize // _ROWS), dtype=dtype, device=device)
    vector = torch.ones(matrix.shape[1], dtype=dtype, device=device)
    target = torch.empty_like(matrix)
    copying = 2 * size / _best(lambda: target.copy_(matrix), device)
    return max(copying, size / _best(lambda: matrix @ vector, device))


def _flops(device: torch.device, dtype: torch.dtype) -> float:
    side = _SIDE[device.type]
    a, b = (torch.rand(side, side, device=device).to(dtype) for _ in range(2))
    return 2 * side**3 / _best(lambda: a @ b, device)


def _best(work: Callable[[], Any], device: torch.device) -> float:
    """Seconds of the fastest round; one round goes before them."""
    times = []
    for _ in range(1 + _ROUNDS[device.type]):
        begin = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - begin)
    return min(times[1:])


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else os.uname().machine}, {os.cpu_count()} cores"


def _kib_of(path: str, name: str) -> int:
    """A figure of the kernel's, in bytes."""
    for line in Path(path).read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * _KIB
    raise OSError(f"{path}: expected a line '{name}', found none")
