"""A teleoperator's stream of positions, as something that can be followed."""

from __future__ import annotations

import numpy as np

from vla_core.action_chunk import ActionChunk
from vla_core.chunking import RecedingHorizon
from vla_core.motion.polynomial import Array

_MS = 1_000_000
_STEP_NS = 30 * _MS
_STEPS = 8
_SETTLES_S = 0.1  # the velocity of the stream is expected to last about this long
_MEASURED_NS = 60 * _MS  # over so long the velocity is measured


class Teleoperation:
    """Positions that are to be followed as they come.

    Each is continued with the velocity of the last ones, which dies away: a stream that ends lets the arm come to rest a few
    hundredths of a second on.

    Args:
        names: of the action's dimensions.
        timeout_ms: a stream that is silent for longer has ended [ms].
    """

    def __init__(self, names: tuple[str, ...], timeout_ms: float) -> None:
        self.scheduler = RecedingHorizon()
        self._names = names
        self._timeout_ns = round(timeout_ms * _MS)
        self._samples: list[tuple[int, Array]] = []
        self._sequence = 0

    def live(self, now_ns: int) -> bool:
        """Whether the stream is on."""
        return bool(self._samples) and now_ns - self._samples[-1][0] <= self._timeout_ns

    def chunk(self, position: Array, now_ns: int) -> ActionChunk:
        """A position (action_dim,), and how it is expected to go on, as a chunk."""
        since = [sample for sample in self._samples if now_ns - sample[0] <= self._timeout_ns]
        self._samples = [*since, (now_ns, position)]
        velocity = self._velocity(position, now_ns)
        later_s = np.arange(_STEPS)[:, None] * (_STEP_NS * 1e-9)
        actions = position + velocity * _SETTLES_S * (1.0 - np.exp(-later_s / _SETTLES_S))
        self._sequence += 1
        return ActionChunk(actions, self._names, now_ns, _STEP_NS, now_ns, "teleoperator", self._sequence)

    def end(self) -> None:
        """Forgets the stream."""
        self._samples = []
        self.scheduler.reset()

    def _velocity(self, position: Array, now_ns: int) -> Array:
        before = [sample for sample in self._samples[:-1] if now_ns - sample[0] <= _MEASURED_NS]
        self._samples = [*before, self._samples[-1]]
        if not before or now_ns == before[0][0]:
            return np.zeros_like(position)
        return np.asarray((position - before[0][1]) / ((now_ns - before[0][0]) * 1e-9))
