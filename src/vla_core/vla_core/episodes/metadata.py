"""What is known about an episode besides its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from vla_core.embodiment.schema import Embodiment
from vla_core.errors import EpisodeError, choice

UNKNOWN = "unknown"
"""outcome of an episode whose recorder ended before anybody said how it went, and which was recovered"""
OUTCOMES = ("success", "failure", UNKNOWN)
ROBOTS = ("sim", "mock", "real")


@dataclass(frozen=True)
class EpisodeMetadata:
    """What is known when an episode begins.

    Attributes:
        prompt: the language instruction.
        robot: what moved: ``sim``, ``mock`` or ``real``.
        embodiment: the robot's description; a copy is kept in the file.
        task: identifier of the task, for example ``pick_place``; empty if it has none.
        seed: what the task's start was drawn with, if anything was drawn.
        policy_id: the policy that drove, for a rollout; empty for a demonstration.
    """

    prompt: str
    robot: str
    embodiment: Embodiment
    task: str = ""
    seed: int | None = None
    policy_id: str = ""

    def __post_init__(self) -> None:
        if self.robot not in ROBOTS:
            raise EpisodeError(f"episode metadata: robot: expected {choice(ROBOTS)}, found '{self.robot}'")


@dataclass(frozen=True)
class StreamSummary:
    """How one camera or stream arrived during an episode.

    Attributes:
        received: messages.
        rate_hz: their mean rate by their own stamps [Hz].
        gaps: times that nothing came for more than 2.5 declared periods.
        largest_gap_s: longest time between two messages [s]; 0 before the second.
        duplicates: messages whose stamp had come before.
        out_of_order: messages whose stamp was older than the newest one.
        clock_jumps: times that the clock of the stamps was set.
        missing_steps: steps that were dropped because this stream was out of its tolerance or had not come.
        marked_steps: steps that were kept with an old sample of it, and marked (``on_missing: mark``).
        stamp: what its times are: the ``header`` stamp of its messages, or their ``arrival``.
    """

    received: int
    rate_hz: float
    gaps: int = 0
    largest_gap_s: float = 0.0
    duplicates: int = 0
    out_of_order: int = 0
    clock_jumps: int = 0
    missing_steps: int = 0
    marked_steps: int = 0
    stamp: Literal["header", "arrival"] = "header"


@dataclass(frozen=True)
class RecordingSummary:
    """What is known about the recording when an episode ends.

    Attributes:
        dropped_steps: steps that are not in the file: a stream was out of its tolerance, or the disk was too slow.
        streams: camera role or stream name to how it arrived; empty where nobody counted.
        dropped_beside: samples at their own rate and chunks of a rollout that are not in the file: the disk was too slow.
    """

    dropped_steps: int = 0
    streams: Mapping[str, StreamSummary] = field(default_factory=dict)
    dropped_beside: int = 0


@dataclass(frozen=True)
class EpisodeInfo:
    """Everything about a finished episode except its rows.

    Attributes:
        metadata: what was known at the start.
        outcome: ``success``, ``failure``, or ``unknown`` for an episode that was recovered.
        created: when recording began, ISO 8601, UTC.
        steps: number of rows, end steps included.
        summary: dropped steps, and how the streams arrived.
        schema: version of the format.
        recorder: name and version of the program that wrote the file.
        prompts: every language instruction of the episode, in the order of their first use; the first is the metadata's.
        recovered: what was done to make a finished episode of a partial file; empty for one that was recorded to its end.
    """

    metadata: EpisodeMetadata
    outcome: str
    created: str
    steps: int
    summary: RecordingSummary
    schema: str
    recorder: str
    prompts: tuple[str, ...] = ()
    recovered: str = ""

    @property
    def dropped_steps(self) -> int:
        return self.summary.dropped_steps
