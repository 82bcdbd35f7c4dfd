"""Steps from streams: when a step is due, and what each stream's value at its time is."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable

from vla_core.alignment.stream_buffer import StreamBuffer
from vla_core.embodiment.schema import Embodiment
from vla_core.observation import Sample, Step

_KEEP_NS = 2_000_000_000  # how long samples are kept when no step asks for them


class Aligner:
    """Turns the streams of an embodiment into steps, in order of time, each as soon as nothing can change it any more.

    The recorder asks for all streams, the policy for the observed ones; both get the same values for the same time,
    because each stream is decided on its own.
    """

    def __init__(self, embodiment: Embodiment, streams: Iterable[str]) -> None:
        self._buffers = {name: StreamBuffer(embodiment.sources[name].align) for name in streams}
        self._reference = None if embodiment.steps.clock == "fixed" else embodiment.steps.clock
        self._period_ns = embodiment.step_ns
        self._due: list[int] = []  # times of steps not decided yet, ascending
        self._last_ns: int | None = None  # newest time that became a step or is due
        self._least_gap_ns = self._period_ns - self._reference_period_ns(embodiment) // 2

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the streams that a step may hold."""
        return tuple(self._buffers)

    def push(self, stream: str, sample: Sample) -> None:
        """Takes a sample of a stream."""
        buffer = self._buffers[stream]
        buffer.push(sample)
        if stream == self._reference:
            self._propose(sample.stamp_ns)

    def pop(self, now_ns: int) -> list[Step]:
        """Returns the steps that are decided now, oldest first. A step lacks the streams that were out of tolerance."""
        if self._reference is None:
            self._propose_grid(now_ns)
        steps = []
        while self._due and all(buffer.settled(self._due[0], now_ns) for buffer in self._buffers.values()):
            steps.append(self._step_at(self._due.pop(0)))
        for buffer in self._buffers.values():
            buffer.forget_before((self._due[0] if self._due else now_ns) - (0 if self._due else _KEEP_NS))
        return steps

    def missing(self, step: Step) -> tuple[str, ...]:
        """Streams that a step lacks."""
        return tuple(name for name in self._buffers if name not in step.samples)

    def clear_due(self) -> None:
        """Forgets steps that are not decided yet; samples are kept."""
        self._due.clear()

    def _step_at(self, time_ns: int) -> Step:
        found = {name: buffer.sample_at(time_ns) for name, buffer in self._buffers.items()}
        return Step(time_ns, {name: sample for name, sample in found.items() if sample is not None})

    def _propose(self, stamp_ns: int) -> None:
        """A step at an image of the reference camera, unless it comes too early after the one before or out of order."""
        if self._last_ns is not None and stamp_ns < self._last_ns - _KEEP_NS:
            self._last_ns = None  # the clock was set back
            self._due.clear()
        if self._last_ns is None or stamp_ns - self._last_ns >= self._least_gap_ns:
            insort(self._due, stamp_ns)
            self._last_ns = stamp_ns

    def _propose_grid(self, now_ns: int) -> None:
        """Steps at whole multiples of the period, the same in every process; the first when all streams have come."""
        if any(buffer.newest_ns is None for buffer in self._buffers.values()):
            return
        if self._last_ns is None:
            self._last_ns = now_ns // self._period_ns * self._period_ns - self._period_ns
        while self._last_ns + self._period_ns <= now_ns:
            self._last_ns += self._period_ns
            self._due.append(self._last_ns)

    def _reference_period_ns(self, embodiment: Embodiment) -> int:
        if self._reference is None:
            return 0
        return round(1e9 / embodiment.cameras[self._reference].rate_hz)
