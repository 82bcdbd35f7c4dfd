"""What a report tells of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vla_core.action_chunk import ActionChunk

Array = NDArray[np.float64]


@dataclass(frozen=True)
class About:
    """What was run, and where.

    Attributes:
        title: headline of the report.
        robot: what moved, in words: ``simulated FR3``.
        policy: the checkpoint or the name that was asked for.
        policy_id: what the policy calls itself; empty if nobody asked it.
        task: identifier of the task.
        prompt: language instruction.
        seed: which worlds.
        when: local date and time.
        machine: processor and cores.
        versions: name of a piece of software to its version.
    """

    title: str
    robot: str
    policy: str
    policy_id: str
    task: str
    prompt: str
    seed: int
    when: str
    machine: str
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ReportedEpisode:
    """An episode that the report shows.

    Attributes:
        kind: who drove: a person or an expert (demonstration), or the policy (rollout).
        number: 1, 2, 3 ... among those of its kind.
        seed: of its world.
        success: whether the task was done at the end.
        duration_s: simulated time until then, or the limit [s].
        path: the recorded episode; None if none was recorded.
        trace: what the arm's controller was commanded at 1 kHz (``.npz`` of the simulator); None if it was not kept.
        message: why it ended early, if it did.
    """

    kind: Literal["demonstration", "rollout"]
    number: int
    seed: int
    success: bool
    duration_s: float
    path: Path | None = None
    trace: Path | None = None
    message: str = ""

    @property
    def outcome(self) -> str:
        return "success" if self.success else "failure"


@dataclass(frozen=True, eq=False)
class Replay:
    """An episode that was played back, and how well the arm followed.

    Attributes:
        source: which episode, in words.
        joint_names: n names.
        time_s: (k,) since the first action [s].
        error: (k, n) measured minus recorded position of each joint [rad].
    """

    source: str
    joint_names: tuple[str, ...]
    time_s: Array
    error: Array


@dataclass(frozen=True, eq=False)
class Report:
    """Everything that a report tells.

    Attributes:
        about: what was run.
        figures: the numbers, as ``--json`` writes them: those of :meth:`vla.evaluation.Evaluation.to_json` at least.
        demonstrations: recorded ones.
        rollouts: the policy's episodes.
        chunks: what the policy wanted, on the clock of the rollouts; empty if nobody listened.
        replay: how an episode was played back, if one was.
        video: a video beside the report, if there is one.
    """

    about: About
    figures: Mapping[str, Any]
    demonstrations: tuple[ReportedEpisode, ...] = ()
    rollouts: tuple[ReportedEpisode, ...] = ()
    chunks: tuple[ActionChunk, ...] = ()
    replay: Replay | None = None
    video: Path | None = None
