"""Steps from streams: when a step is due, and what each stream's value at its time is."""

from __future__ import annotations

from collections.abc import Iterable

from vla_core.alignment.due import DueStep
from vla_core.alignment.monitor import JUMP_NS
from vla_core.alignment.stream_buffer import StreamBuffer
from vla_core.embodiment.schema import Embodiment
from vla_core.observation import Sample, Step

_DELIVERY_NS = 20_000_000  # a message that came in time may wait so long until the process takes it
_TIDY_NS = 1_000_000_000
_NONE: frozenset[str] = frozenset()
_PAUSE_NS = 60_000_000_000  # a grid that was not asked for so long begins anew


class Aligner:
    """Turns the streams of an embodiment into steps, in order of time.

    A step is due at every image of the reference camera, thinned to the step rate, or at every whole multiple of the period. Each
    stream is decided on its own (:class:`StreamBuffer`), among the samples that came until

    - the step's time + the stream's ``wait_ms``, or
    - the arrival of the reference image, if that is later.

    So what a step holds depends only on stamps and arrival times, and not on what else is subscribed to or how often the steps
    are asked for. An ``early`` aligner, for a rollout, does not wait that long: it decides as soon as each stream has a sample at
    or after the step's time, or its wait is over. It sees the same, unless the messages of a topic overtake each other.
    """

    def __init__(self, embodiment: Embodiment, streams: Iterable[str], early: bool = False) -> None:
        """Makes an aligner.

        Args:
            embodiment: declares the streams and when steps are due.
            streams: names of the cameras, depth cameras and streams that a step may hold.
            early: whether a step is decided before its waits are over if everything seems to be there.
        """
        self._buffers = {
            name: StreamBuffer(embodiment.sources[name].align, images=name not in embodiment.streams)
            for name in streams
        }
        self._inboxes = {name: buffer.inbox for name, buffer in self._buffers.items()}
        clock = embodiment.steps.clock
        self._reference = None if clock == "fixed" else self._buffers[clock]
        self._early = early
        self._awaited = [buffer for buffer in self._buffers.values() if buffer is not self._reference]
        self._longest_wait_ns = max((buffer.wait_ns for buffer in self._awaited), default=0)
        self._period_ns = embodiment.step_ns
        self._least_gap_ns = self._period_ns if clock == "fixed" else _least_gap_ns(embodiment)
        self._due: list[DueStep] = []  # by time, except that the first ones are of a clock that has been set back since
        self._closed = 0  # so many are those
        # largest stamp of the reference since its clock was set back; last time of the grid
        self._newest_ns: int | None = None
        self._lead_ns = 0  # the most that such stamps were ahead of their arrival
        self._last_ns: int | None = None  # time of the last step that was decided since then
        self._seen_ns = 0
        self._tidied_ns = 0

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the streams that a step may hold."""
        return tuple(self._buffers)

    @property
    def kept(self) -> int:
        """Samples that are kept because a step may still ask for them."""
        return sum(len(buffer) for buffer in self._buffers.values())

    def push(self, stream: str, sample: Sample) -> None:
        """Takes a sample of a stream. The samples of a stream must be pushed in the order in which they came."""
        self._inboxes[stream].append(sample)

    def pop(self, now_ns: int) -> list[Step]:
        """Returns the steps that are decided now, oldest first. A step lacks the streams that were out of tolerance.

        A step's time goes back only where the clock of the reference camera was set back by more than a second.
        """
        if self._reference is None:
            self._propose_grid(now_ns)
        elif self._reference.inbox:
            self._propose_images(self._reference)
        steps = []
        while self._due and self._ready(self._due[0], now_ns):
            steps.append(self._decide(self._due.pop(0)))
        if not 0 <= now_ns - self._tidied_ns < _TIDY_NS:
            self._tidied_ns = now_ns
            before_ns = min((step.arrival_ns for step in self._due), default=now_ns)
            for buffer in self._buffers.values():
                buffer.forget_old(min(now_ns, before_ns))
        return steps

    def flush(self) -> list[Step]:
        """Decides what is due, for nothing more will come. Returns the steps, oldest first."""
        if self._reference is not None:
            self._propose_images(self._reference)
        steps = [self._decide(step) for step in self._due]
        self._due.clear()
        return steps

    def missing(self, step: Step) -> tuple[str, ...]:
        """Streams that a step lacks."""
        return tuple(name for name in self._buffers if name not in step.samples)

    def _ready(self, step: DueStep, now_ns: int) -> bool:
        if (
            now_ns < step.arrival_ns - JUMP_NS
        ):  # the receiver's clock has been set back: nothing more comes for this step
            return True
        if self._early:
            return all(buffer.settled(step, now_ns) for buffer in self._awaited)
        return not self._awaited or now_ns > step.until_ns(self._longest_wait_ns) + _DELIVERY_NS

    def _decide(self, step: DueStep) -> Step:
        if self._closed:
            self._closed -= 1
        else:
            self._last_ns = step.time_ns
        set_back = step.arrival_ns < self._seen_ns - JUMP_NS
        self._seen_ns = step.seen_ns = step.arrival_ns if set_back else max(self._seen_ns, step.arrival_ns)
        samples, marked = {}, []
        for name, buffer in self._buffers.items():
            found = buffer.sample_for(step)
            if found is None and buffer.marks and (found := buffer.last_before(step)) is not None:
                marked.append(name)
            if found is not None:
                samples[name] = found
            buffer.decided(step)
        return Step(step.time_ns, samples, frozenset(marked) if marked else _NONE)

    def _propose_images(self, reference: StreamBuffer) -> None:
        for sample in reference.take_in():
            self._propose(sample.stamp_ns, sample.receive_ns)

    def _propose(self, stamp_ns: int, arrival_ns: int) -> None:
        """A step at an image of the reference camera, unless it is too close to another or older than one that is decided."""
        if self._newest_ns is None or stamp_ns < self._newest_ns - JUMP_NS:
            self._newest_ns, self._lead_ns, self._last_ns = stamp_ns, stamp_ns - arrival_ns, None
            self._closed = len(self._due)
        self._newest_ns = max(self._newest_ns, stamp_ns)
        self._lead_ns = max(self._lead_ns, stamp_ns - arrival_ns)
        index = len(self._due)
        while index > self._closed and self._due[index - 1].time_ns > stamp_ns:
            index -= 1
        below_ns = self._due[index - 1].time_ns if index > self._closed else self._last_ns
        if below_ns is not None and stamp_ns - below_ns < self._least_gap_ns:
            return
        if index == len(self._due) or self._due[index].time_ns - stamp_ns >= self._least_gap_ns:
            self._due.insert(index, DueStep(stamp_ns, arrival_ns, self._lead_ns))

    def _propose_grid(self, now_ns: int) -> None:
        """Steps at whole multiples of the period, the same in every process; the first when something has come."""
        if self._newest_ns is None or not 0 <= now_ns - self._newest_ns < _PAUSE_NS:
            begin_ns = self._first_receive_ns() if self._newest_ns is None else now_ns
            if begin_ns is None:
                return
            self._closed = len(self._due)
            self._newest_ns = (begin_ns - 1) // self._period_ns * self._period_ns
        while self._newest_ns + self._period_ns <= now_ns:
            self._newest_ns += self._period_ns
            self._due.append(DueStep(self._newest_ns, self._newest_ns))

    def _first_receive_ns(self) -> int | None:
        for buffer in self._buffers.values():
            buffer.take_in()
        came = [buffer.first_receive_ns for buffer in self._buffers.values() if buffer.first_receive_ns is not None]
        return min(came, default=None)


def _least_gap_ns(embodiment: Embodiment) -> int:
    """The least time between two steps: half an image's period less than the step's, because images come with jitter [ns]."""
    return embodiment.step_ns - round(0.5e9 / embodiment.cameras[embodiment.steps.clock].rate_hz)
