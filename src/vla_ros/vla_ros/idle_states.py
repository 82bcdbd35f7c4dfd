"""Keeps processors from idle states that they come back from late.

See the kernel's documentation of PM QoS: the latency that is written to its device holds for as long as the file is open.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

DEVICE = Path("/dev/cpu_dma_latency")
_NO_LATENCY = struct.pack("i", 0)  # that an idle processor may take to come back [us]


class IdleStates:
    """Lets idle processors sleep, or not. Where that is not permitted nothing changes.

    Args:
        wanted: whether they may be kept awake at all.
        device: of the kernel.
    """

    def __init__(self, wanted: bool = True, device: Path = DEVICE) -> None:
        self._device = device
        self._file: int | None = None
        self._why_not = "" if wanted else "realtime_priority is 0"
        self.permit(asleep=False)  # only by opening it is known whether that is permitted
        self.permit(asleep=True)

    def __str__(self) -> str:
        return f"processors may sleep: {self._why_not}" if self._why_not else "processors kept awake in motion"

    def permit(self, asleep: bool) -> None:
        """Whether idle processors may sleep from now on; they may at the beginning, and when this process is gone."""
        if asleep and self._file is not None:
            os.close(self._file)
            self._file = None
        elif not asleep and self._file is None and not self._why_not:
            self._keep_awake()

    def _keep_awake(self) -> None:
        try:
            self._file = os.open(self._device, os.O_WRONLY | os.O_CLOEXEC)
            os.write(self._file, _NO_LATENCY)
        except OSError as error:
            self._why_not = str(error)
