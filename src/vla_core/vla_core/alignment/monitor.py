"""How a stream arrives: rate, age, and counts of everything that is not as it should be."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass

_WINDOW_NS = 2_000_000_000
_GAP_PERIODS = 2.5  # one lost message is normal, two in a row are not

JUMP_NS = 1_000_000_000  # nothing is late, or stamped ahead, by so much; a clock that was set is


@dataclass(frozen=True)
class StreamStatus:
    """How one declared stream (one topic) arrives.

    Attributes:
        name: in the embodiment.
        topic: resolved name.
        rate_hz: measured over the last seconds [Hz]; 0 before the second message.
        expected_rate_hz: declared in the embodiment [Hz]; 0 where none is declared.
        age_s: now minus the stamp of the newest message [s]; NaN before the first.
        received: messages since the start.
        out_of_order: messages whose stamp was older than the newest one.
        duplicates: messages whose stamp had come before.
        clock_jumps: times the stamps went back by more than a second, or ahead of the receiver's clock by more than that.
        gaps: times that nothing came for more than 2.5 declared periods.
        largest_gap_s: longest time between two messages since the start, or since the episode began [s]; 0 before the second.
        newest_stamp_ns: stamp of the newest message [ns]; 0 before the first.
        mean_rate_hz: measured since the first message, or since the stream's clock last jumped [Hz]; 0 before the second.
    """

    name: str
    topic: str
    rate_hz: float
    expected_rate_hz: float
    age_s: float
    received: int
    out_of_order: int = 0
    duplicates: int = 0
    clock_jumps: int = 0
    gaps: int = 0
    largest_gap_s: float = 0.0
    newest_stamp_ns: int = 0
    mean_rate_hz: float = 0.0


class StreamMonitor:
    """Counts a stream's messages and measures its rate over the last two seconds.

    Rate and gaps are by stamps: a queue that empties late is neither. A message that a later one has overtaken does not close
    the gap that it left. Where the clock of the stamps jumps, the stream starts anew: a jump is no gap.
    """

    def __init__(self, rate_hz: float = 0.0) -> None:
        """Makes a monitor. ``rate_hz`` is the rate that is expected [Hz]; 0: none, and nothing counts as a gap."""
        self.received = 0
        self.out_of_order = 0
        self.duplicates = 0
        self.clock_jumps = 0
        self.gaps = 0
        self._rate_hz = rate_hz
        self._gap_ns = _GAP_PERIODS * 1e9 / rate_hz if rate_hz > 0 else float("inf")
        self._largest_gap_ns = 0
        self._newest_ns: int | None = None
        self._anew_ns, self._received_before = 0, 0  # first stamp since the clock last jumped; messages until then
        self._receive_ns = 0  # when the newest one came
        self._lead_ns = 0  # how far stamps have been ahead of the receiver's clock, since the clock last jumped
        self._recent: deque[int] = deque()  # stamps of the window, ascending

    @property
    def newest_ns(self) -> int | None:
        """Largest stamp since the clock last jumped [ns]."""
        return self._newest_ns

    def note(self, stamp_ns: int, receive_ns: int | None = None) -> None:
        """Takes note of a message.

        Args:
            stamp_ns: its stamp [ns].
            receive_ns: when it came, on the receiver's clock [ns]; None: at its stamp.
        """
        self.received += 1
        receive_ns = stamp_ns if receive_ns is None else receive_ns
        newest_ns = self._newest_ns
        if newest_ns is None or stamp_ns - receive_ns > self._lead_ns + JUMP_NS or stamp_ns < newest_ns - JUMP_NS:
            self._start_anew(stamp_ns, receive_ns)
            return
        if stamp_ns - receive_ns > self._lead_ns:
            self._lead_ns = stamp_ns - receive_ns
        gap_ns = stamp_ns - newest_ns
        if gap_ns <= 0:
            self._note_old(stamp_ns)
            return
        if gap_ns > self._largest_gap_ns:
            self._largest_gap_ns = gap_ns
        if gap_ns > self._gap_ns:
            self.gaps += 1
        self._newest_ns = stamp_ns
        self._receive_ns = receive_ns
        self._recent.append(stamp_ns)
        while self._recent[0] < stamp_ns - _WINDOW_NS:
            self._recent.popleft()

    def begin_episode(self) -> None:
        """Starts to measure the largest gap anew."""
        self._largest_gap_ns = 0

    def age_s(self, now_ns: int) -> float:
        """Now minus the newest stamp [s]; NaN before the first message."""
        return float("nan") if self._newest_ns is None else (now_ns - self._newest_ns) * 1e-9

    def rate_hz(self, now_ns: int) -> float:
        """Messages per second over the last two seconds [Hz]; 0 when fewer than two came or the last is too old."""
        if len(self._recent) < 2 or now_ns - self._receive_ns > _WINDOW_NS:
            return 0.0
        return (len(self._recent) - 1) / ((self._recent[-1] - self._recent[0]) * 1e-9)

    def status(self, name: str, topic: str, now_ns: int) -> StreamStatus:
        """Everything about the stream. A gap that still lasts counts."""
        silence_ns = now_ns - self._receive_ns if self._newest_ns is not None else 0
        silent = silence_ns > self._gap_ns
        return StreamStatus(
            name=name,
            topic=topic,
            rate_hz=self.rate_hz(now_ns),
            expected_rate_hz=float(self._rate_hz),
            age_s=self.age_s(now_ns),
            received=self.received,
            out_of_order=self.out_of_order,
            duplicates=self.duplicates,
            clock_jumps=self.clock_jumps,
            gaps=self.gaps + silent,
            largest_gap_s=max(self._largest_gap_ns, silence_ns if silent else 0) * 1e-9,
            newest_stamp_ns=self._newest_ns or 0,
            mean_rate_hz=self._mean_rate_hz(),
        )

    def _mean_rate_hz(self) -> float:
        seconds = ((self._newest_ns or 0) - self._anew_ns) * 1e-9
        return (self.received - self._received_before - 1) / seconds if seconds > 0 else 0.0

    def _note_old(self, stamp_ns: int) -> None:
        index = bisect_left(self._recent, stamp_ns)
        if index < len(self._recent) and self._recent[index] == stamp_ns:
            self.duplicates += 1
            return
        self.out_of_order += 1
        self._recent.insert(index, stamp_ns)

    def _start_anew(self, stamp_ns: int, receive_ns: int) -> None:
        """The first message, or the first after its clock was set. A first message that is late sets no standard."""
        lead_ns = stamp_ns - receive_ns
        first = self._newest_ns is None
        self._lead_ns = max(0, lead_ns) if first else lead_ns
        self.clock_jumps += not first or lead_ns > JUMP_NS
        self._newest_ns = self._anew_ns = stamp_ns
        self._received_before = self.received - 1
        self._receive_ns = receive_ns
        self._recent.clear()
        self._recent.append(stamp_ns)
