"""The recent samples of one stream, in the order of their stamps, and the choice of one for a step."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from operator import attrgetter, lt

from vla_core.alignment.due import DueStep
from vla_core.alignment.monitor import JUMP_NS
from vla_core.embodiment.schema import Align
from vla_core.observation import Sample
from vla_core.steps import numbers_from

_MS = 1_000_000
_KEEP_NS = 2_000_000_000  # at least, beyond the tolerance: a reference may be late by a second
_ANY_NS = -(2**63)
_FEW_IMAGES, _FEW_VECTORS = 8, 128  # that are not worth forgetting


class StreamBuffer:
    """Keeps a stream's samples by stamp and answers what its value at a step is.

    ::

        samples   ──●────●──────●────●──▶ stamp        time of a step: |
        interpolate      ●──|───●           both neighbours within the tolerance
        nearest             |   ●           the closer one, whichever side; the older one of two that are equally close
        latest_before    ●  |               the newest that is not younger

    A sample counts for a step if it came until the step's wait for this stream was over, so that nothing which comes too late
    for a rollout finds its way into a recording; and if its stamp is not ahead of its arrival by a second more than the step's,
    so that nothing from before a clock was set back is taken for something after it. Of messages with the same stamp the
    first one counts.

    Attributes:
        inbox: samples that came and are not in order yet; append to it.
        wait_ns: how long a step waits for this stream [ns].
        marks: whether a step without a sample that counts gets an older one.
    """

    def __init__(self, align: Align, images: bool = False) -> None:
        """Makes one. ``images``: the samples are large."""
        self.inbox: list[Sample] = []
        self.wait_ns = round(align.wait_ms * _MS)
        self.marks = align.on_missing == "mark"
        self.first_receive_ns: int | None = None
        self._few = _FEW_IMAGES if images else _FEW_VECTORS
        self._interpolates = align.method == "interpolate"
        self._latest_before = align.method == "latest_before"
        self._tolerance_ns = round(align.tolerance_ms * _MS)
        self._stamps: list[int] = []
        self._samples: list[Sample] = []
        self._disorder_ns: int | None = None  # when a sample last came that did not belong at the end

    def __len__(self) -> int:
        """Samples that are kept."""
        return len(self._samples) + len(self.inbox)

    def take_in(self) -> list[Sample]:
        """Puts what is in the inbox where it belongs. Returns it in the order in which it came."""
        if not self.inbox:
            return []
        fresh = self.inbox.copy()
        self.inbox.clear()
        if self.first_receive_ns is None:
            self.first_receive_ns = fresh[0].receive_ns
        stamps = [one.stamp_ns for one in fresh]
        in_order = not self._stamps or stamps[0] > self._stamps[-1]
        if in_order and (len(stamps) == 1 or all(map(lt, stamps, stamps[1:]))):
            self._stamps += stamps
            self._samples += fresh
        else:
            for one in fresh:
                self._insert(one)
        return fresh

    def settled(self, step: DueStep, now_ns: int) -> bool:
        """Whether the choice can no longer change by a sample that is on its way, if they come in the order of their stamps."""
        if now_ns >= step.until_ns(self.wait_ns):
            return True
        if self.inbox:
            self.take_in()
        return self._behind(bisect_left(self._stamps, step.time_ns), step, now_ns, step.time_ns + JUMP_NS) is not None

    def sample_for(self, step: DueStep) -> Sample | None:
        """The sample for a step, or None where none is within the tolerance. Nothing is extrapolated."""
        if self.inbox:
            self.take_in()
        time_ns = step.time_ns
        until_ns = step.until_ns(self.wait_ns)
        after = bisect_right(self._stamps, time_ns)
        before = self._before(after, step, until_ns, time_ns - self._tolerance_ns)
        if self._latest_before or (before is not None and before.stamp_ns == time_ns):
            return before
        behind = self._behind(after, step, until_ns, time_ns + self._tolerance_ns)
        if self._interpolates:
            return None if before is None or behind is None else _between(before, behind, time_ns)
        if before is None or (behind is not None and behind.stamp_ns - time_ns < time_ns - before.stamp_ns):
            return behind
        return before

    def last_before(self, step: DueStep) -> Sample | None:
        """The newest sample that is not younger than a step, however old; None before the first."""
        return self._before(bisect_right(self._stamps, step.time_ns), step, step.until_ns(self.wait_ns), _ANY_NS)

    def decided(self, step: DueStep) -> None:
        """Forgets what no later step can use."""
        stamps = self._stamps
        if len(stamps) <= self._few or not step.usual or self._disordered_since(step.seen_ns - _KEEP_NS):
            return
        keep = bisect_right(stamps, step.time_ns - self._tolerance_ns) - 1
        while keep > 0 and self._samples[keep].receive_ns > step.seen_ns:
            keep -= 1
        if keep > 0:
            del stamps[:keep]
            del self._samples[:keep]

    def forget_old(self, before_ns: int) -> None:
        """Forgets what came too long before this time to count for a step that is due then or later; except the last of it."""
        self.take_in()
        horizon_ns = before_ns - self._tolerance_ns - self.wait_ns - _KEEP_NS
        old = [one for one in self._samples if one.receive_ns < horizon_ns]
        if len(old) > 1:
            kept = [one for one in self._samples if one.receive_ns >= horizon_ns]
            insort(kept, max(old, key=attrgetter("receive_ns")), key=attrgetter("stamp_ns"))
            self._samples = kept
            self._stamps = [one.stamp_ns for one in kept]

    def _insert(self, sample: Sample) -> None:
        index = bisect_right(self._stamps, sample.stamp_ns)
        if index == len(self._stamps) and (not index or self._stamps[-1] < sample.stamp_ns):
            self._stamps.append(sample.stamp_ns)
            self._samples.append(sample)
            return
        same = index - 1
        while same >= 0 and self._stamps[same] == sample.stamp_ns:
            if sample.receive_ns - self._samples[same].receive_ns <= JUMP_NS:
                return  # a duplicate
            same -= 1
        self._stamps.insert(index, sample.stamp_ns)
        self._samples.insert(index, sample)
        self._disorder_ns = sample.receive_ns

    def _before(self, after: int, step: DueStep, until_ns: int, oldest_ns: int) -> Sample | None:
        """The newest sample that counts below the index ``after``, if it is not older than ``oldest_ns``."""
        stamps, samples = self._stamps, self._samples
        found: Sample | None = None
        index = after - 1
        while index >= 0:
            one, stamp_ns = samples[index], stamps[index]
            if stamp_ns < oldest_ns or (found is not None and stamp_ns != found.stamp_ns):
                break
            if one.receive_ns <= until_ns and stamp_ns - one.receive_ns <= step.newest_lead_ns:
                found = one
                if self._disorder_ns is None:
                    break
                # and on: of equal stamps, which there are where a clock was set back, the first one counts
            index -= 1
        return found

    def _behind(self, after: int, step: DueStep, until_ns: int, newest_ns: int) -> Sample | None:
        """The oldest sample that counts from the index ``after`` on, if it is not younger than ``newest_ns``."""
        for index in range(after, len(self._samples)):
            one = self._samples[index]
            if one.stamp_ns > newest_ns:
                break
            if one.receive_ns <= until_ns and one.stamp_ns - one.receive_ns <= step.newest_lead_ns:
                return one
        return None

    def _disordered_since(self, time_ns: int) -> bool:
        return self._disorder_ns is not None and self._disorder_ns >= time_ns


def _between(before: Sample, behind: Sample, time_ns: int) -> Sample:
    """The linear interpolation of two vectors at a time between them."""
    share = (time_ns - before.stamp_ns) / (behind.stamp_ns - before.stamp_ns)
    low = numbers_from(before)
    value = low + share * (numbers_from(behind) - low)
    return Sample(before.stamp_ns, max(before.receive_ns, behind.receive_ns), value)
