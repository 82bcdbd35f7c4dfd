"""What the C library does with memory that is freed."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_KEPT_BYTES = 256 * 1024 * 1024
_LARGEST_BYTES = 32 * 1024 * 1024  # what glibc allows


def keep_freed_memory() -> None:
    """Has the process keep memory that it frees, for the next time.

    A node that takes images allocates and frees megabytes many times a second. By default the C library gives such memory back
    to the system each time, and the system clears every page of it when it is asked for again: that costs more than copying the
    image. With a C library other than glibc this does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGEST_BYTES)
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
