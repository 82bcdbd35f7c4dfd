"""The recent samples of one stream, in the order of their stamps, and the choice of one for a time."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from vla_core.embodiment.schema import Align
from vla_core.observation import Sample
from vla_core.steps import numbers_from

_MS = 1_000_000
_JUMP_NS = 1_000_000_000  # a stamp this far before the newest one is a clock set back, not a late message


class StreamBuffer:
    """Keeps a stream's samples by stamp and answers what its value at a time is.

    ::

        samples   ──●────●──────●────●──▶ stamp        time of a step: |
        interpolate      ●──|───●           both neighbours within the tolerance
        nearest             |   ●           the closer one, whichever side
        latest_before    ●  |               the newest that is not younger
    """

    def __init__(self, align: Align) -> None:
        self._method = align.method
        self._tolerance_ns = round(align.tolerance_ms * _MS)
        self._wait_ns = round(align.wait_ms * _MS)
        self._stamps: list[int] = []
        self._samples: list[Sample] = []

    @property
    def newest_ns(self) -> int | None:
        """Largest stamp so far [ns]."""
        return self._stamps[-1] if self._stamps else None

    def push(self, sample: Sample) -> None:
        """Takes a sample; late ones are put where they belong. A stamp far in the past starts the stream anew."""
        if self._stamps and sample.stamp_ns < self._stamps[-1] - _JUMP_NS:
            self._stamps.clear()
            self._samples.clear()
        if not self._stamps or sample.stamp_ns > self._stamps[-1]:
            self._stamps.append(sample.stamp_ns)
            self._samples.append(sample)
            return
        index = bisect_left(self._stamps, sample.stamp_ns)
        if self._stamps[index] == sample.stamp_ns:
            return  # a duplicate: the first one counts
        self._stamps.insert(index, sample.stamp_ns)
        self._samples.insert(index, sample)

    def settled(self, time_ns: int, now_ns: int) -> bool:
        """Whether the choice for ``time_ns`` can no longer change by a sample that is still on its way."""
        if now_ns >= time_ns + self._wait_ns:
            return True
        if not self._stamps:
            return False
        newest = self._stamps[-1]
        if self._method == "latest_before":
            return newest > time_ns or self._has(time_ns)
        return newest >= time_ns

    def sample_at(self, time_ns: int) -> Sample | None:
        """The sample for a time, or None where none is within the tolerance. Nothing is extrapolated."""
        after = bisect_right(self._stamps, time_ns)
        before = self._samples[after - 1] if after > 0 else None
        if before is not None and before.stamp_ns == time_ns:
            return before
        behind = self._samples[after] if after < len(self._samples) else None
        if self._method == "latest_before":
            return self._within(before, time_ns)
        if self._method == "nearest":
            return self._nearest(before, behind, time_ns)
        return self._interpolated(before, behind, time_ns)

    def forget_before(self, time_ns: int) -> None:
        """Drops samples that no step at or after ``time_ns`` can use."""
        keep = bisect_right(self._stamps, time_ns - self._tolerance_ns) - 1
        if keep > 0:
            del self._stamps[:keep]
            del self._samples[:keep]

    def _has(self, time_ns: int) -> bool:
        index = bisect_left(self._stamps, time_ns)
        return index < len(self._stamps) and self._stamps[index] == time_ns

    def _within(self, sample: Sample | None, time_ns: int) -> Sample | None:
        if sample is None or abs(sample.stamp_ns - time_ns) > self._tolerance_ns:
            return None
        return sample

    def _nearest(self, before: Sample | None, behind: Sample | None, time_ns: int) -> Sample | None:
        if before is None or (behind is not None and behind.stamp_ns - time_ns < time_ns - before.stamp_ns):
            return self._within(behind, time_ns)
        return self._within(before, time_ns)

    def _interpolated(self, before: Sample | None, behind: Sample | None, time_ns: int) -> Sample | None:
        before, behind = self._within(before, time_ns), self._within(behind, time_ns)
        if before is None or behind is None:
            return None
        share = (time_ns - before.stamp_ns) / (behind.stamp_ns - before.stamp_ns)
        low, high = numbers_from(before), numbers_from(behind)
        value = low + share * (high - low)
        return Sample(before.stamp_ns, max(before.receive_ns, behind.receive_ns), value)
