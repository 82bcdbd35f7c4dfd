"""The disk of the episodes: how much is free, whether it is still there, and how much an episode takes."""

from __future__ import annotations

import math
import os
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from vla_core.embodiment import Embodiment
from vla_core.episodes import bytes_per_second
from vla_recorder.settings import RecorderSettings
from vla_recorder.sizes import size_text

_PERIOD_S = 1.0
_HANGS_S = 5.0
_REMEMBERED = 20  # episodes whose length tells the usual one


@dataclass(frozen=True)
class DiskState:
    """What is known about the disk of a folder.

    free_bytes: that this user may write; None where nobody looked. error: why nothing can be written; empty if it can.
    """

    free_bytes: int | None = None
    error: str = ""


def unwatched() -> DiskState:
    """The state of a disk that nobody looks at."""
    return DiskState()


class DiskWatch:
    """Looks at the disk of a folder once a second, in a thread of its own: a disk that hangs holds up nobody else.

    A folder that is not there yet is looked for at its nearest parent. Once it has been there it must remain the same one:
    an empty mount point is a folder too.
    """

    def __init__(self, folder: Path, period_s: float = _PERIOD_S) -> None:
        self._folder = folder.absolute()
        self._identity: tuple[int, int] | None = None
        self._newest = (time.monotonic(), self.look())
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(period_s,), name="disk-watch", daemon=True)
        self._thread.start()

    def state(self) -> DiskState:
        """The newest state. Returns at once."""
        looked_s, state = self._newest
        silent_s = time.monotonic() - looked_s
        if silent_s > _HANGS_S:
            return DiskState(state.free_bytes, f"the disk of {self._folder} has not answered for {silent_s:.0f} s")
        return state

    def look(self) -> DiskState:
        """Looks at the disk now; takes as long as the disk."""
        folder = self._folder
        try:
            while self._identity is None and not folder.exists() and folder != folder.parent:
                folder = folder.parent
            found = os.stat(folder)
            if folder == self._folder and self._identity is None:
                self._identity = (found.st_dev, found.st_ino)
            if self._identity not in (None, (found.st_dev, found.st_ino)):
                return DiskState(error=f"{self._folder} is another folder than before: has its disk been unmounted?")
            if not os.access(folder, os.W_OK):
                return DiskState(error=f"{folder} cannot be written")
            disk = os.statvfs(folder)
        except FileNotFoundError:
            return DiskState(error=f"{self._folder} is gone: has it been removed, or its disk been unmounted?")
        except OSError as error:
            return DiskState(error=f"{self._folder} cannot be read: {error.strerror or error}")
        return DiskState(disk.f_bavail * disk.f_frsize)

    def close(self) -> None:
        """Ends the thread, unless the disk hangs."""
        self._stopped.set()
        self._thread.join(_PERIOD_S)

    def _watch(self, period_s: float) -> None:
        while not self._stopped.wait(period_s):
            self._newest = (time.monotonic(), self.look())


class DiskBudget:
    """How much of the disk recording takes, from the episodes so far, and whether one more fits."""

    def __init__(self, settings: RecorderSettings, embodiment: Embodiment) -> None:
        self._settings = settings
        self._expected_bytes_per_s = bytes_per_second(embodiment)
        self._measured_bytes_per_s = math.nan
        self._lengths_s: deque[float] = deque(maxlen=_REMEMBERED)

    def note(self, size_bytes: int, duration_s: float) -> None:
        """Takes note of a finished episode."""
        if duration_s > 0:
            self._lengths_s.append(duration_s)
            self._measured_bytes_per_s = size_bytes / duration_s

    @property
    def usual_s(self) -> float:
        """Length of a usual episode [s]."""
        return median(self._lengths_s) if self._lengths_s else self._settings.usual_episode_s

    def free_s(self, disk: DiskState) -> float:
        """Recording time that fits at the rate of the last episode [s]; NaN before the first."""
        return self._usable(disk) / self._measured_bytes_per_s if disk.free_bytes is not None else math.nan

    def refusal(self, disk: DiskState) -> str:
        """Why no episode can be started; empty if one can."""
        if disk.error or disk.free_bytes is None:
            return disk.error
        rate = self._expected_bytes_per_s if math.isnan(self._measured_bytes_per_s) else self._measured_bytes_per_s
        needed = rate * self.usual_s
        if needed <= self._usable(disk):
            return ""
        return (
            f"the disk has room for {size_text(self._usable(disk))} of episodes, expected {size_text(needed)} "
            f"for one of {self.usual_s:.0f} s ({self._reserve_text()})"
        )

    def exhausted(self, disk: DiskState) -> str:
        """Why a recording must be stopped now; empty if it need not."""
        if disk.free_bytes is None or self._usable(disk) > 0:
            return ""
        return f"the disk is full but for {size_text(disk.free_bytes)} ({self._reserve_text()})"

    def _usable(self, disk: DiskState) -> float:
        return max(0.0, (disk.free_bytes or 0) - self._settings.disk_reserve_mb * 1e6)

    def _reserve_text(self) -> str:
        return f"{size_text(self._settings.disk_reserve_mb * 1e6)} are kept free"
