"""What the C library does with memory that is freed."""

from __future__ import annotations

import ctypes

_ARENA_MAX = -8  # M_ARENA_MAX of glibc's malloc.h


def share_one_heap() -> None:
    """Has all threads of the process allocate from one heap. To be called before there are many threads.

    By default glibc gives a new thread a heap of its own, up to eight for each core. A node whose threads come and go with
    its episodes, and pass images to each other, so leaves images' worth of free memory in one heap after the other: it grows
    for hours. With a C library other than glibc this does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, 1)
