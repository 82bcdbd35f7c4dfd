"""The page: everything that the template shows, gathered from a report's values and episodes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from vla.figures import is_number, statements, tiles
from vla.report.command_plots import stage_histogram, stage_plot, state_legend, timeline_plot
from vla.report.content import Report, ReportedEpisode
from vla.report.limits import KINDS
from vla.report.motion import motion_of
from vla.report.plots import Plot, dimension_plot, latency_plot, limit_use_plot, replay_plot, series_names
from vla.report.strips import Frame, frames_of
from vla.report.timeline import Span, spans_of
from vla_core.embodiment import Embodiment
from vla_core.episodes import EpisodeReader
from vla_core.errors import VlaError

_FRAMES = 8
_REMARKABLE = ("holding", "fault")
_SHOWN_MS = 0.05


class ReportFailed(VlaError):
    """A report cannot be written where it was asked for."""


@dataclass(frozen=True)
class Gallery:
    """What the cameras saw in an episode."""

    episode: ReportedEpisode
    cameras: tuple[str, ...]
    frames: tuple[Frame, ...]


@dataclass(frozen=True)
class Motion:
    """How the arm moved in an episode."""

    episode: ReportedEpisode
    plots: tuple[Plot, ...]
    has_chunks: bool


@dataclass(frozen=True)
class Timeline:
    """What command_node did in the rollouts.

    Attributes:
        plot: all of them.
        legend: what its colours mean.
        remarks: episode, and what command_node said in it that an operator should know.
    """

    plot: Plot
    legend: list[tuple[str, str]]
    remarks: list[tuple[str, str]]


def write_report(path: Path, report: Report) -> None:
    """Writes a report as one HTML file; a video is referred to where it lies.

    Raises:
        EpisodeError: an episode cannot be read.
        ReportFailed: the file cannot be written.
    """
    text = render(report, path.parent)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ReportFailed(f"{path}: cannot be written: {error.strerror or error}") from error


def render(report: Report, folder: Path) -> str:
    """The page of a report that will lie in a folder."""
    environment = Environment(
        loader=PackageLoader("vla.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    video = None if report.video is None else Path(os.path.relpath(report.video, folder)).as_posix()
    return environment.get_template("report.html").render(
        report=report,
        about=report.about,
        figures=report.figures,
        tiles=tiles(report.figures),
        statements=statements(report.figures),
        galleries=[_gallery(episode) for episode in _shown(report)],
        motion=_motion(report),
        limit_plots=_limit_plots(report),
        violation_kinds=KINDS,
        timeline=_timeline(report),
        stages=_stages(report.figures),
        latency=_latency(report.figures),
        replay_plot=None if report.replay is None else replay_plot(report.replay),
        replay_legend=[] if report.replay is None else series_names(report.replay.joint_names),
        video=video,
    )


def _shown(report: Report) -> list[ReportedEpisode]:
    """A demonstration, a rollout that succeeded, and one that failed, as far as there are such."""
    recorded = [episode for episode in (*report.demonstrations, *report.rollouts) if episode.path is not None]
    wanted = (("demonstration", True), ("rollout", True), ("rollout", False))
    first = {(episode.kind, episode.success): episode for episode in reversed(recorded)}
    return [first[key] for key in wanted if key in first]


def _gallery(episode: ReportedEpisode) -> Gallery:
    with _opened(episode) as reader:
        return Gallery(episode, tuple(reader.info.metadata.embodiment.cameras), frames_of(reader, _FRAMES))


def _motion(report: Report) -> Motion | None:
    """Of a rollout that succeeded, if there is one; else of any."""
    recorded = [episode for episode in report.rollouts if episode.path is not None]
    if not recorded:
        return None
    episode = next((one for one in recorded if one.success), recorded[0])
    with _opened(episode) as reader:
        dimensions = motion_of(reader, report.chunks)
    has_chunks = any(dimension.wanted for dimension in dimensions)
    return Motion(episode, tuple(dimension_plot(dimension) for dimension in dimensions), has_chunks)


def _limit_plots(report: Report) -> list[Plot]:
    joints, embodiment = report.figures.get("joints"), _embodiment(report)
    if not joints or embodiment is None:
        return []
    shares = {
        "velocity": embodiment.motion.velocity_share,
        "acceleration": embodiment.motion.acceleration_share,
        "jerk": embodiment.motion.jerk_share,
    }
    return [limit_use_plot(kind, joints, share) for kind, share in shares.items()]


def _timeline(report: Report) -> Timeline | None:
    """Of the recorded rollouts in which command_node told what it did."""
    rows: list[tuple[str, tuple[Span, ...]]] = []
    for episode in report.rollouts:
        if episode.path is not None:
            with _opened(episode) as reader:
                rows.append((f"rollout {episode.number}", spans_of(reader)))
    rows = [(label, spans) for label, spans in rows if spans]
    if not rows:
        return None
    remarks = [
        (label, f"{span.state} after {span.begin_s:.1f} s: {span.message}")
        for label, spans in rows
        for span in spans
        if span.state in _REMARKABLE and span.message
    ]
    return Timeline(timeline_plot(rows), state_legend([span for _, spans in rows for span in spans]), remarks)


def _stages(figures: Mapping[str, Any]) -> list[Plot]:
    """The stages of the chunks one after the other, and then a histogram of each that took any time."""
    stages = figures.get("latency_ledger")
    if not stages:
        return []
    shown = {name: found for name, found in stages.items() if abs(found["max_ms"]) >= _SHOWN_MS}
    return [stage_plot(stages), *(stage_histogram(name, found) for name, found in shown.items())]


def _latency(figures: Mapping[str, Any]) -> Plot | None:
    measured = {name: value for name, value in figures["policy_latency_ms"].items() if is_number(value)}
    return latency_plot(measured, figures.get("inference_interval_ms")) if measured else None


def _embodiment(report: Report) -> Embodiment | None:
    recorded = [episode for episode in (*report.rollouts, *report.demonstrations) if episode.path is not None]
    if not recorded:
        return None
    with _opened(recorded[0]) as reader:
        return reader.info.metadata.embodiment


def _opened(episode: ReportedEpisode) -> EpisodeReader:
    if episode.path is None:
        raise ReportFailed(f"{episode.kind} {episode.number}: expected a recorded episode, found none")
    return EpisodeReader(episode.path)
