"""A place to be at rest, as something that can be followed."""

from __future__ import annotations

import numpy as np

from vla_core.action_chunk import ActionChunk
from vla_core.chunking.curve import Reference
from vla_core.motion.polynomial import Array

_ALWAYS_NS = 2**62


class Standing:
    """A scheduler that asks for one place for ever.

    Args:
        position: (n,) [rad or m].
    """

    runs_out_ns: int | None = _ALWAYS_NS
    ruling: ActionChunk | None = None

    def __init__(self, position: Array) -> None:
        still = np.zeros_like(position)
        self._reference = Reference(np.array(position), still, still)

    def submit(self, chunk: ActionChunk, now_ns: int) -> None:
        """Nothing can be asked for beside the place."""

    def reference_at(self, time_ns: int) -> Reference:
        return self._reference

    def reset(self) -> None:
        """The place stays."""
