"""What came of a demo as figures, as a report, and as the clips of its video. No ROS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from vla.demo_folder import LOGS, REPORT
from vla.graph import Bringup
from vla.report import About, Replay, Report, ReportedEpisode
from vla.report.about import cores, machine, versions
from vla.report.ledger import ledger_figures
from vla.report.limits import joint_figures
from vla.report.streams import stream_figures
from vla.video import Clip, length_s
from vla_core.action_chunk import ActionChunk
from vla_core.embodiment import Embodiment, load_embodiment
from vla_core.episodes import EpisodeReader

_MS = 1e-6  # [ms/ns]


@dataclass(frozen=True, eq=False)
class Replayed:
    """A demonstration that was replayed: the figures of ``vla replay``, and the error over time."""

    figures: Mapping[str, Any]
    replay: Replay


@dataclass(frozen=True, eq=False)
class DemoRun:
    """What the nodes did.

    Attributes:
        began_at: local date and time.
        bringup: of the nodes.
        prompt: language instruction.
        seed: of the demo.
        policy_id: what the policy calls itself.
        demonstrations: that were recorded.
        rollouts: the policy's episodes, with trace.
        evaluation: their figures (:meth:`vla.evaluation.Evaluation.to_json`).
        chunks: all that were published.
        replayed: a demonstration; None if none was.
    """

    began_at: datetime
    bringup: Bringup
    prompt: str
    seed: int
    policy_id: str
    demonstrations: tuple[ReportedEpisode, ...]
    rollouts: tuple[ReportedEpisode, ...]
    evaluation: Mapping[str, Any]
    chunks: tuple[ActionChunk, ...] = ()
    replayed: Replayed | None = None

    @property
    def embodiment(self) -> Embodiment:
        return load_embodiment(self.bringup.embodiment_file)


def figures_of(run: DemoRun, folder: Path, video: Path | None, seconds: float) -> dict[str, Any]:
    """All figures of a demo, as the terminal shows them, ``--json`` writes them and the report tells them.

    Args:
        run: what the nodes did.
        folder: where everything is.
        video: if there is one.
        seconds: what it took, until now [s].

    Raises:
        EpisodeError: an episode or a trace cannot be read.
    """
    bringup, embodiment = run.bringup, run.embodiment
    recorded = [episode.path for episode in (*run.demonstrations, *run.rollouts) if episode.path is not None]
    traces = [episode.trace for episode in run.rollouts if episode.trace is not None]
    return {
        "task": Path(bringup.task).stem,
        "policy": bringup.policy,
        "policy_id": run.policy_id,
        "seed": run.seed,
        "strategy": bringup.strategy,
        "robot": bringup.robot,
        "embodiment": embodiment.name,
        **run.evaluation,
        "seconds": seconds,
        "evaluation_seconds": run.evaluation["seconds"],
        "inference_interval_ms": 1e3 * bringup.execution_horizon / embodiment.steps.rate_hz,
        "simulated_latency_ms": _simulated_latency_ms(run),
        "per_episode": [_entry(episode) for episode in run.rollouts],
        "demonstrations": [_entry(episode) for episode in run.demonstrations],
        "streams": stream_figures(recorded),
        "joints": joint_figures(traces, embodiment),
        "latency_ledger": ledger_figures(episode.path for episode in run.rollouts if episode.path is not None),
        "replay": None if run.replayed is None else replay_figures(run.replayed),
        "date": run.began_at.isoformat(timespec="seconds"),
        "machine": machine(),
        "cores": cores(),
        "versions": versions(),
        "files": {
            "report": folder / REPORT,
            "video": video,
            "episodes": bringup.episodes,
            "trace": bringup.trace,
            "logs": folder / LOGS,
        },
    }


def replay_figures(replayed: Replayed) -> dict[str, Any]:
    """The figures of the replay, and its error over all steps and joints [rad]."""
    error = replayed.replay.error
    return {**replayed.figures, "rms_rad": float((error**2).mean() ** 0.5), "max_rad": float(abs(error).max())}


def report_of(run: DemoRun, figures: Mapping[str, Any], video: Path | None) -> Report:
    """The report of a demo."""
    about = About(
        title=f"Demo: {figures['task']} in simulation",
        robot=run.embodiment.description or run.embodiment.name,
        policy=run.bringup.policy,
        policy_id=run.policy_id,
        task=figures["task"],
        prompt=run.prompt,
        seed=run.seed,
        when=f"{run.began_at:%d %B %Y, %H:%M}",
        machine=figures["machine"],
        versions=figures["versions"],
    )
    replay = None if run.replayed is None else run.replayed.replay
    return Report(about, figures, run.demonstrations, run.rollouts, run.chunks, replay, video)


def video_clips(run: DemoRun, longest_s: float = 30.0) -> list[Clip]:
    """A demonstration, rollouts that succeeded, and one that failed if there is one.

    Args:
        run: with recorded episodes.
        longest_s: as many successes as fit into this are shown [s].
    """
    shown = [*run.demonstrations[:1]]
    failed = [episode for episode in run.rollouts if not episode.success][:1]
    left_s = longest_s - sum(_length_s(episode) for episode in (*shown, *failed))
    for episode in run.rollouts:
        if episode.success and _length_s(episode) <= left_s:
            shown.append(episode)
            left_s -= _length_s(episode)
    detail = f"simulated robot ({run.embodiment.name}) · “{run.prompt}” · {', '.join(run.embodiment.cameras)}"
    return [
        Clip(episode.path, _title(episode, run.policy_id), detail, episode.success)
        for episode in (*shown, *failed)
        if episode.path is not None
    ]


def _length_s(episode: ReportedEpisode) -> float:
    return 0.0 if episode.path is None else length_s(episode.path)


def _title(episode: ReportedEpisode, policy_id: str) -> str:
    if episode.kind == "demonstration":
        return f"Demonstration {episode.number} by the scripted expert"
    return f"Policy {policy_id}, episode {episode.number}"


def _entry(episode: ReportedEpisode) -> dict[str, Any]:
    entry = {
        "seed": episode.seed,
        "success": episode.success,
        "duration_s": episode.duration_s,
        "message": episode.message,
    }
    if episode.path is None:
        return entry
    with EpisodeReader(episode.path) as reader:
        return {**entry, "file": episode.path, "steps": len(reader), "dropped_steps": reader.info.dropped_steps}


def _simulated_latency_ms(run: DemoRun) -> float | None:
    """What an inference takes in the lockstep's simulated time, as the policy's chunks say."""
    latencies = [chunk.inference_latency_ns * _MS for chunk in run.chunks if chunk.policy_id == run.policy_id]
    return median(latencies) if latencies else None
