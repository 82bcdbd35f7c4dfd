"""One episode while it is recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from vla_core.alignment import StreamStatus
from vla_core.episodes import RecordingSummary, StreamSummary
from vla_core.observation import Step
from vla_core.ports import EpisodeWriter


class QueuedEpisodeWriter(EpisodeWriter, Protocol):
    """A writer that may be behind."""

    @property
    def dropped_steps(self) -> int: ...

    @property
    def queued_steps(self) -> int: ...


@dataclass
class Recording:
    """The episode that is recorded now.

    Attributes:
        writer: takes its steps.
        required: the streams that a step must hold.
        before: stream to how it had arrived when the episode began.
        outcome: what it gets if it is stopped now.
        first_ns: stamp of the first step [ns].
        last_ns: stamp of the newest step [ns].
        appended: steps handed to the writer.
        incomplete: steps that lacked a stream.
        lacking: stream to the number of steps that lacked it.
    """

    writer: QueuedEpisodeWriter
    required: tuple[str, ...]
    before: Mapping[str, StreamStatus]
    outcome: str = "success"
    first_ns: int = 0
    last_ns: int = 0
    appended: int = 0
    incomplete: int = 0
    lacking: Counter[str] = field(default_factory=Counter)

    @property
    def steps(self) -> int:
        return self.appended - self.writer.dropped_steps

    @property
    def dropped_steps(self) -> int:
        return self.incomplete + self.writer.dropped_steps

    @property
    def duration_s(self) -> float:
        return (self.last_ns - self.first_ns) * 1e-9

    def remark(self) -> str:
        """What the operator should know about the steps so far."""
        reasons = [f"{name} missing in {count}" for name, count in self.lacking.most_common(3)]
        if self.writer.dropped_steps:
            reasons.append(f"disk too slow for {self.writer.dropped_steps}")
        return f"{self.dropped_steps} steps dropped: {', '.join(reasons)}" if reasons else ""

    def append(self, step: Step) -> None:
        """Hands a step to the writer, or counts it as incomplete. Raises EpisodeError."""
        lacking = [name for name in self.required if name not in step.samples]
        if lacking:
            self.incomplete += 1
            self.lacking.update(lacking)
            return
        self.writer.append(step)
        self.first_ns = self.first_ns if self.appended else step.stamp_ns
        self.last_ns = step.stamp_ns
        self.appended += 1

    def summary(self, streams: Iterable[StreamStatus]) -> RecordingSummary:
        """What the writer is told at the end. The steps that it dropped itself it adds itself."""
        arrived = {stream.name: _arrival(self.before.get(stream.name), stream) for stream in streams}
        return RecordingSummary(self.incomplete, arrived)


def _arrival(before: StreamStatus | None, now: StreamStatus) -> StreamSummary:
    """Messages of a stream since ``before``, and their rate by their own stamps: a queue that empties late is no rate."""
    if before is None or before.received == 0:
        return StreamSummary(now.received, round(now.rate_hz, 3))
    received = now.received - before.received
    seconds = (now.newest_stamp_ns - before.newest_stamp_ns) * 1e-9
    return StreamSummary(received, round(received / seconds, 3) if seconds > 0 else 0.0)
