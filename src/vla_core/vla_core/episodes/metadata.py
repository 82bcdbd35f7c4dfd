"""What is known about an episode besides its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vla_core.embodiment.schema import Embodiment
from vla_core.errors import EpisodeError, choice

OUTCOMES = ("success", "failure")
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
    """How one camera or stream arrived during an episode: number of messages, and their mean rate [Hz]."""

    received: int
    rate_hz: float


@dataclass(frozen=True)
class RecordingSummary:
    """What is known about the recording when an episode ends.

    Attributes:
        dropped_steps: steps that are not in the file: a stream was out of its tolerance, or the disk was too slow.
        streams: camera role or stream name to how it arrived; empty where nobody counted.
    """

    dropped_steps: int = 0
    streams: Mapping[str, StreamSummary] = field(default_factory=dict)


@dataclass(frozen=True)
class EpisodeInfo:
    """Everything about a finished episode except its rows.

    Attributes:
        metadata: what was known at the start.
        outcome: ``success`` or ``failure``.
        created: when recording began, ISO 8601, UTC.
        steps: number of rows, end steps included.
        summary: dropped steps, and how the streams arrived.
        schema: version of the format.
        recorder: name and version of the program that wrote the file.
    """

    metadata: EpisodeMetadata
    outcome: str
    created: str
    steps: int
    summary: RecordingSummary
    schema: str
    recorder: str

    @property
    def dropped_steps(self) -> int:
        return self.summary.dropped_steps
