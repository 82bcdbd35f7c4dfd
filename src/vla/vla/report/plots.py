"""The plots of a report. Each has axis labels with units; what its colours mean stands in the page, above the plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.ticker import MaxNLocator, PercentFormatter

from vla.report import svg
from vla.report.content import Replay
from vla.report.motion import Dimension

_SMALL = (290, 165)  # four beside each other on a wide page, one on a phone [px]
_MIDDLE = (370, 210)
_WIDE = (400, 195)
_FLAT = (400, 125)
_STEPS = [1, 2, 2.5, 5, 10]
_LEAST_SPAN = {"rad": 0.02, "m": 0.002}  # so that a joint at rest does not look as if it shook


@dataclass(frozen=True)
class Plot:
    """A picture with the title that says what one sees."""

    title: str
    svg: Markup


def dimension_plot(dimension: Dimension) -> Plot:
    """One dimension of the action over time: measured, commanded, and the chunks."""
    title = f"{dimension.name} [{dimension.unit}]"
    with svg.drawing(f"{dimension.name} over time", *_SMALL) as drawn:
        axes = drawn.axes
        for times_s, values in dimension.wanted:
            axes.plot(times_s, values, color=svg.WANTED, linewidth=1.0, alpha=0.7)
        if dimension.measured is not None:
            axes.plot(dimension.time_s, dimension.measured, color=svg.MEASURED, linewidth=3.2)
        axes.plot(dimension.time_s, dimension.commanded, color=svg.COMMANDED, linewidth=1.3)
        low, high = axes.get_ylim()
        missing = _LEAST_SPAN.get(dimension.unit, 0.0) - (high - low)
        if missing > 0:
            axes.set_ylim(low - missing / 2, high + missing / 2)
        axes.set_xlim(0.0, float(dimension.time_s[-1]))
        axes.set_xlabel("time [s]")
        axes.set_ylabel(f"position [{dimension.unit}]")
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=_STEPS))
        axes.yaxis.set_major_locator(MaxNLocator(4, steps=_STEPS))
    return Plot(title, drawn.svg)


def limit_use_plot(kind: str, joints: Mapping[str, Any], share: float) -> Plot:
    """How much of a limit each joint used at most, against the share that command_node is configured to use.

    Args:
        kind: velocity, acceleration or jerk.
        joints: as :func:`vla.report.limits.joint_figures` gives them.
        share: configured share of the limit, 0 to 1.
    """
    names = list(joints)
    used = np.array([joints[name]["use"][kind] for name in names])
    with svg.drawing(f"largest {kind} of each joint, in percent of its limit", *_MIDDLE) as drawn:
        axes = drawn.axes
        rows = np.arange(len(names))
        colors = [svg.BAD if value > 1.0 else svg.COMMANDED for value in used]
        axes.barh(rows, used, color=colors, height=0.62)
        for row, value in zip(rows, used, strict=True):
            beside = (max(1.0, value), row)  # beyond the lines, so that neither hides the other
            axes.annotate(f"{100 * value:.0f} %", beside, (5, 0), textcoords="offset points", va="center")
        axes.axvline(1.0, color=svg.BAD, linewidth=1.6)
        axes.axvline(share, color=svg.MUTED, linewidth=1.2, linestyle=(0, (4, 3)))
        axes.set_yticks(rows, names)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlim(0.0, 1.2 * max(1.0, float(used.max(initial=0.0))))
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        axes.set_xlabel(f"largest {kind} in percent of the limit")
    return Plot(f"{kind.capitalize()}: at most {100 * float(used.max(initial=0.0)):.0f} % of the limit", drawn.svg)


def latency_plot(latency_ms: Mapping[str, float], interval_ms: float | None) -> Plot:
    """Percentiles of the inference latency.

    Args:
        latency_ms: name of a percentile to its value [ms].
        interval_ms: time from one inference to the next [ms]; None where it is not known.
    """
    names, values = list(latency_ms), np.array(list(latency_ms.values()), dtype=float)
    with svg.drawing("percentiles of the inference latency", *_FLAT) as drawn:
        axes = drawn.axes
        rows = np.arange(len(names))
        axes.barh(rows, values, color=svg.COMMANDED, height=0.55)
        for row, value in zip(rows, values, strict=True):
            axes.annotate(f"{value:.1f} ms", (value, row), (4, 0), textcoords="offset points", va="center")
        widest = float(values.max(initial=0.0))
        if interval_ms is not None:
            axes.axvline(interval_ms, color=svg.MUTED, linewidth=1.2, linestyle=(0, (4, 3)))
            widest = max(widest, interval_ms)
        axes.set_yticks(rows, names)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlim(0.0, 1.12 * widest)
        axes.set_xlabel("latency [ms], real time")
    return Plot("From the assembled observation to the actions", drawn.svg)


def replay_plot(replay: Replay) -> Plot:
    """The tracking error of each joint while an episode was replayed."""
    with svg.drawing("tracking error of each joint over time", *_WIDE) as drawn:
        axes = drawn.axes
        for index, error in enumerate(replay.error.T):
            color = svg.SERIES[index % len(svg.SERIES)]
            axes.plot(replay.time_s, 1e3 * error, color=color, linewidth=1.2)
        axes.axhline(0.0, color=svg.MUTED, linewidth=0.8)
        axes.set_xlim(float(replay.time_s[0]), float(replay.time_s[-1]))
        axes.set_xlabel("time [s]")
        axes.set_ylabel("error [mrad]")
    return Plot(f"Replayed minus recorded joint position, {replay.source}", drawn.svg)


def series_names(names: Sequence[str]) -> list[tuple[str, str]]:
    """For the legend of lines: name, and the CSS variable of its colour."""
    return [(name, f"--series-{index % len(svg.SERIES)}") for index, name in enumerate(names)]
