"""Bringing files to the disk while they are written, so that little is lost with the machine's power."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

SYNC_PERIOD_S = 0.2


class DiskSync:
    """Calls fdatasync on open files, one after the other, again and again in a thread of its own.

    Without it Linux keeps data in memory for half a minute. The thread takes as long as the disk, and holds up nobody.
    """

    def __init__(self, descriptors: Sequence[int], period_s: float = SYNC_PERIOD_S) -> None:
        """Starts the thread. The descriptors must stay open until :meth:`stop` has returned."""
        self._descriptors = descriptors
        self._period_s = period_s
        self._stopped = threading.Event()
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._work, name="episode-sync", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises the OSError that the thread met with, if any: what was written may not be on the disk."""
        if self._error is not None:
            raise OSError(self._error.errno, self._error.strerror)

    def stop(self) -> None:
        """Ends the thread. Waits for the disk."""
        self._stopped.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stopped.wait(self._period_s):
            try:
                for descriptor in self._descriptors:
                    os.fdatasync(descriptor)
            except OSError as error:
                self._error = error
                return
