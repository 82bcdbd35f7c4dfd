"""The plots of a report that tell of command_node: where the time of its chunks went, and what it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from vla.report import svg
from vla.report.plots import Plot
from vla.report.timeline import Span
from vla_core.chunk_times import STAGES, TOTAL

_SMALL = (290, 130)
_WIDTH, _ROW, _AROUND = 1090, 21, 58  # [px]
_STATE_COLORS = {
    "running": svg.COMMANDED,
    "armed": svg.MEASURED,
    "shadow": svg.SERIES[4],
    "holding": svg.WANTED,
    "fault": svg.BAD,
    "ready": svg.GRID,
}
_NAMES = {svg.COMMANDED: "commanded", svg.MEASURED: "measured", svg.WANTED: "wanted", svg.BAD: "bad", svg.GRID: "grid"}
_LEAST_SHARE = 0.06  # of the width: a narrower part has no room for its name


def stage_plot(stages: Mapping[str, Any]) -> Plot:
    """How long each stage takes, one after the other: medians.

    Args:
        stages: as :func:`vla.report.ledger.ledger_figures` gives them.
    """
    shown = {name: stages[name]["p50_ms"] for name in STAGES if name in stages}
    whole = sum(shown.values())
    with svg.drawing("median time of each stage from exposure to command", _WIDTH, 86) as drawn:
        axes, begin = drawn.axes, 0.0
        for index, (name, took_ms) in enumerate(shown.items()):
            axes.barh([0], [took_ms], left=begin, height=0.5, color=svg.SERIES[index], edgecolor="none")
            if took_ms >= _LEAST_SHARE * whole:
                label = f"{name} {took_ms:.1f} ms"
                axes.annotate(label, (begin + took_ms / 2, 0.34), ha="center", va="bottom", annotation_clip=False)
            begin += took_ms
        axes.set_yticks([])
        axes.set_ylim(-0.3, 0.75)
        axes.set_xlim(0.0, max(whole, 1e-3))
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("time since exposure [ms]")
    total = stages.get(TOTAL)
    tail = f": {total['p50_ms']:.0f} ms, 99 % of chunks within {total['p99_ms']:.0f} ms" if total else ""
    return Plot(f"From exposure to command{tail}", drawn.svg)


def stage_histogram(name: str, figures: Mapping[str, Any]) -> Plot:
    """How often a stage took how long.

    Args:
        name: of the stage.
        figures: of this stage, as :func:`vla.report.ledger.ledger_figures` gives them.
    """
    color = svg.SERIES[STAGES.index(name)] if name in STAGES else svg.MUTED
    edges = np.array(figures["edges_ms"])
    with svg.drawing(f"histogram of the stage {name}", *_SMALL) as drawn:
        axes = drawn.axes
        axes.bar(edges[:-1], figures["counts"], width=np.diff(edges), align="edge", color=color, edgecolor="none")
        axes.set_xlim(float(edges[0]), float(edges[-1]))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        axes.set_xlabel("time [ms]")
        axes.set_ylabel("chunks")
    p50, longest = figures["p50_ms"], figures["max_ms"]
    tail = f", at most {longest:.0f}" if longest > 1.01 * p50 else ""
    return Plot(f"{'in all' if name == TOTAL else name}: {p50:.1f} ms{tail}", drawn.svg)


def timeline_plot(rows: Sequence[tuple[str, Sequence[Span]]]) -> Plot:
    """What command_node did in each episode.

    Args:
        rows: label of an episode, and its spans.
    """
    with svg.drawing("states of command_node over time", _WIDTH, _AROUND + _ROW * len(rows)) as drawn:
        axes = drawn.axes
        for row, (_, spans) in enumerate(rows):
            for span in spans:
                color = _STATE_COLORS.get(span.state, svg.MUTED)
                axes.barh([row], [span.end_s - span.begin_s], left=span.begin_s, height=0.66, color=color, linewidth=0)
                if span.intervention:
                    axes.hlines(row, span.begin_s, span.end_s, color=svg.GOOD, linewidth=5.0)
        axes.set_yticks(range(len(rows)), [label for label, _ in rows])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlim(0.0, max(span.end_s for _, spans in rows for span in spans))
        axes.set_xlabel("time since the first step [s]")
    return Plot("States of command_node in each rollout", drawn.svg)


def state_legend(spans: Sequence[Span]) -> list[tuple[str, str]]:
    """For the legend of the timeline: the states that occur, and the CSS variable of the colour of each."""
    occurring = {span.state for span in spans}
    found = [
        (state, f"--{_NAMES.get(color, 'series-4')}") for state, color in _STATE_COLORS.items() if state in occurring
    ]
    if any(span.intervention for span in spans):
        found.append(("a person has the arm", "--good"))
    return found
