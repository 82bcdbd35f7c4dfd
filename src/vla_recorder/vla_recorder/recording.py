"""One episode while it is recorded."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from vla_core.alignment import StreamStatus
from vla_core.embodiment import Embodiment
from vla_core.episodes import RecordingSummary, StreamSummary
from vla_core.episodes.verdict import stream_summary, verdict_of
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
        path: the file that it will be.
        embodiment: of the robot.
        before: how the streams had arrived when the episode began.
        prompt: of the next step.
        first_prompt: of the first step.
        replaces: the episode in whose place it is recorded, if it is recorded again.
        outcome: what it gets if it is stopped now.
        stamps_ns: of the steps handed to the writer [ns].
        ages_ns: stream to the ages of its values in these steps [ns].
        incomplete: steps that lacked a stream.
        turned_back: steps that were not younger than the one before: their clock was set back.
        lacking: stream to the number of steps that lacked it.
        marked: stream to the number of steps that are kept with an older sample of it.
    """

    writer: QueuedEpisodeWriter
    path: Path
    embodiment: Embodiment
    before: tuple[StreamStatus, ...]
    prompt: str = ""
    replaces: Path | None = None
    outcome: str = "success"
    incomplete: int = 0
    turned_back: int = 0
    lacking: Counter[str] = field(default_factory=Counter)
    marked: Counter[str] = field(default_factory=Counter)
    stamps_ns: array[int] = field(default_factory=lambda: array("q"))
    ages_ns: dict[str, array[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.first_prompt = self.prompt
        self.ages_ns = {name: array("q") for name in self.embodiment.sources}

    @property
    def appended(self) -> int:
        """Steps handed to the writer."""
        return len(self.stamps_ns)

    @property
    def steps(self) -> int:
        return self.appended - self.writer.dropped_steps

    @property
    def dropped_steps(self) -> int:
        return self.incomplete + self.turned_back + self.writer.dropped_steps

    @property
    def duration_s(self) -> float:
        return (self.stamps_ns[-1] - self.stamps_ns[0]) * 1e-9 if self.stamps_ns else 0.0

    def remark(self) -> str:
        """What the operator should know about the steps so far."""
        reasons = [f"{name} missing in {count}" for name, count in self.lacking.most_common(3)]
        if self.turned_back:
            reasons.append(f"the clock was set back before {self.turned_back}")
        if self.writer.dropped_steps:
            reasons.append(f"disk too slow for {self.writer.dropped_steps}")
        remarks = [f"{self.dropped_steps} steps dropped: {', '.join(reasons)}"] if reasons else []
        remarks += [f"{name} too old in {count} steps, marked" for name, count in self.marked.most_common(3)]
        return "; ".join(remarks)

    def append(self, step: Step, policy_drives: bool = False) -> None:
        """Hands a step to the writer, or counts why it cannot be a row of the episode. Raises EpisodeError."""
        if self.stamps_ns and step.stamp_ns <= self.stamps_ns[-1]:
            self.turned_back += 1
            return
        lacking = [name for name in self.ages_ns if name not in step.samples]
        if lacking:
            self.incomplete += 1
            self.lacking.update(lacking)
            return
        self.writer.append(replace(step, policy_drives=True) if policy_drives else step, self.prompt)
        self.stamps_ns.append(step.stamp_ns)
        self.marked.update(step.marked)
        for name, ages_ns in self.ages_ns.items():
            ages_ns.append(step.age_ns(name))

    def summary(self, streams: Iterable[StreamStatus]) -> RecordingSummary:
        """What the writer is told at the end. What it dropped itself it adds itself."""
        before = {stream.name: stream for stream in self.before}
        arrived = {now.name: self._arrival(before.get(now.name), now) for now in streams}
        return RecordingSummary(self.incomplete + self.turned_back, arrived)

    def verdict(self, summary: RecordingSummary) -> tuple[str, ...]:
        """What was wrong with the episode, one line each; nothing if it is good."""
        dropped = self.writer.dropped_steps
        return verdict_of(self.embodiment, summary, self.stamps_ns, self.ages_ns, dropped).lines

    def _arrival(self, before: StreamStatus | None, now: StreamStatus) -> StreamSummary:
        stamp = self.embodiment.sources[now.name].stamp
        return stream_summary(before, now, stamp, self.lacking[now.name], self.marked[now.name])
