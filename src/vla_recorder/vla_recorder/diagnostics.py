"""What a recorder reports on /diagnostics: itself and each of its streams, in the words of diagnostic_msgs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import PurePath

from vla_core.alignment import StreamStatus
from vla_recorder.console import Level as NoticeLevel
from vla_recorder.problems import RECORDER, problem_of, problems_of
from vla_recorder.sizes import size_text
from vla_recorder.status import RecorderStatus


class Level(IntEnum):
    """Levels of diagnostic_msgs/DiagnosticStatus. STALE is what an aggregator makes of silence, not what anybody reports."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True)
class Diagnosis:
    """One entry: what it is about, how it is, in one sentence, and with numbers."""

    about: str
    level: Level
    message: str
    values: Mapping[str, str] = field(default_factory=dict)


_LEVELS: dict[NoticeLevel, Level] = {
    "info": Level.OK,
    "success": Level.OK,
    "warning": Level.WARN,
    "error": Level.ERROR,
}


def diagnoses_of(status: RecorderStatus) -> list[Diagnosis]:
    """The recorder's own entry, and one for each stream."""
    return [_recorder(status), *(_stream(stream) for stream in status.streams)]


def _recorder(status: RecorderStatus) -> Diagnosis:
    problem = problems_of(status).get(RECORDER)
    values = {
        "state": status.state.name.lower(),
        "episode": PurePath(status.episode_path).name,
        "prompt": status.prompt,
        "steps": str(status.steps),
        "duration [s]": f"{status.duration_s:.1f}",
        "dropped steps": str(status.dropped_steps),
        "steps waiting for the disk": str(status.queue_steps),
        "episodes finished": str(status.episodes),
        "failures among them": str(status.failures),
        "disk free": size_text(status.disk_free_bytes),
        "last verdict": status.verdict.replace("\n", "; ") or "good",
    }
    if problem is None:
        return Diagnosis(RECORDER, Level.OK, status.state.name.lower(), values)
    return Diagnosis(RECORDER, _LEVELS[problem.level], problem.text, values)


def _stream(stream: StreamStatus) -> Diagnosis:
    problem = problem_of(stream)
    values = {
        "topic": stream.topic,
        "rate [Hz]": f"{stream.rate_hz:.2f}",
        "expected rate [Hz]": f"{stream.expected_rate_hz:g}",
        "age [ms]": "" if math.isnan(stream.age_s) else f"{1000 * stream.age_s:.1f}",
        "received": str(stream.received),
        "out of order": str(stream.out_of_order),
        "duplicates": str(stream.duplicates),
        "clock jumps": str(stream.clock_jumps),
        "gaps": str(stream.gaps),
        "largest gap [ms]": f"{1000 * stream.largest_gap_s:.0f}",
    }
    if problem is None:
        return Diagnosis(f"stream {stream.name}", Level.OK, f"{stream.rate_hz:.0f} Hz", values)
    return Diagnosis(f"stream {stream.name}", _LEVELS[problem.level], problem.text, values)
