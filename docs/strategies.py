"""Draws the pictures of docs/strategies.md: ``python docs/strategies.py``.

The strategies are the real ones, the policy is made up: it wants to follow one curve, but no two of its chunks agree, each lies a
little above or below it. Asked to go on from a prefix, it does, and returns to its own way from there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray

from vla_core.action_chunk import ActionChunk
from vla_core.action_prefix import ActionPrefix
from vla_core.chunking import requests_for, scheduler_for
from vla_core.embodiment import load_embodiment
from vla_core.errors import ChunkDiscarded
from vla_core.strategies import Strategy

matplotlib.use("Agg")  # a picture file needs no display
from matplotlib import pyplot
from matplotlib.axes import Axes

ROOT = Path(__file__).parents[1]
FR3 = load_embodiment(ROOT / "config" / "embodiments" / "fr3.yaml")
STEP = FR3.step_ns
ACTION_HORIZON, EXECUTION_HORIZON, DELAY_STEPS = 20, 6, 4
BACK_AFTER = 4.0  # steps after which most of the way back to its own is made
TICK = 2_000_000
SECONDS = 1.9
NOW = 10**12  # a long time ago there was nothing
COLORS = pyplot.get_cmap("tab10").colors


@dataclass
class Run:
    """What one dimension of the arm was asked for, and why. Times in seconds."""

    times: list[float] = field(default_factory=list)
    meant: list[float] = field(default_factory=list)
    chunks: list[tuple[ActionChunk, int]] = field(default_factory=list)  # published, and when
    discarded: list[tuple[ActionChunk, int]] = field(default_factory=list)


def wanted(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.5 * np.sin(2.0 * seconds) + 0.1 * seconds)


def infer(stamp_ns: int, number: int, prefix: ActionPrefix | None) -> ActionChunk:
    """The made-up policy."""
    seconds = (stamp_ns - NOW + STEP * np.arange(ACTION_HORIZON)) * 1e-9
    actions = wanted(seconds) + (0.0, 0.12, -0.1, 0.1, -0.12)[number % 5]
    if prefix is not None:
        known = prefix.resampled(stamp_ns, STEP, ACTION_HORIZON)[: prefix.delay, 0]
        behind = np.exp(-np.arange(1, ACTION_HORIZON - prefix.delay + 1) / BACK_AFTER)
        actions[prefix.delay :] += (known[-1] - actions[prefix.delay - 1]) * behind
        actions[: prefix.delay] = known
    return ActionChunk(actions[:, None], ("a",), stamp_ns, STEP, stamp_ns, sequence=number)


def simulate(strategy: Strategy, delays: dict[int, int] | None = None, last: int = 100) -> Run:
    """Runs a strategy on the made-up policy.

    Args:
        strategy: its name.
        delays: of some chunks by their number, if another than the usual one [steps].
        last: the policy is silent after so many chunks.
    """
    scheduler, requests = scheduler_for(strategy, 0.0, 0.15), requests_for(strategy, EXECUTION_HORIZON, FR3)
    run, number = Run(), 0
    pending: tuple[int, ActionChunk] | None = None
    for now_ns in range(NOW, NOW + round(SECONDS * 1e9), TICK):
        if pending is not None and now_ns >= pending[0]:
            chunk, pending = pending[1], None
            published = requests.answered(chunk, now_ns)
            if published is None:
                run.discarded.append((chunk, now_ns))
            else:
                try:
                    scheduler.submit(published, now_ns)
                    run.chunks.append((published, now_ns))
                except ChunkDiscarded:
                    run.discarded.append((published, now_ns))
        stamp_ns = NOW + (now_ns - NOW) // STEP * STEP
        if pending is None and number < last and requests.due(stamp_ns) and now_ns - stamp_ns < TICK:
            delay = (delays or {}).get(number, DELAY_STEPS)
            pending = (stamp_ns + delay * STEP, infer(stamp_ns, number, requests.asked(stamp_ns)))
            number += 1
        reference = scheduler.reference_at(now_ns)
        run.times.append((now_ns - NOW) * 1e-9)
        run.meant.append(float("nan") if reference is None else float(reference.position[0]))
    return run


def draw(axes: Axes, run: Run, title: str) -> None:
    for chunk, arrived_ns in [*run.chunks, *run.discarded]:
        color = COLORS[chunk.sequence % 10]
        seconds = (chunk.times_ns() - NOW) * 1e-9
        gone = (chunk, arrived_ns) in run.discarded
        axes.plot(seconds, chunk.actions[:, 0], "x" if gone else "o", color=color, ms=3.5, alpha=0.75, zorder=2)
        axes.plot(seconds, chunk.actions[:, 0], color=color, lw=0.7, alpha=0.6, ls=":" if gone else "-", zorder=1)
        observed, arrived = (chunk.observation_ns - NOW) * 1e-9, (arrived_ns - NOW) * 1e-9
        bottom = -0.72 - 0.07 * (chunk.sequence % 2)
        axes.plot([observed, arrived], [bottom, bottom], color=color, lw=3, solid_capstyle="butt")
        axes.plot([arrived, arrived], [bottom - 0.03, bottom + 0.03], color=color, lw=1.5)
    axes.plot(run.times, run.meant, color="black", lw=2.0, zorder=3)
    axes.set(xlim=(0, SECONDS), ylim=(-0.85, 0.95), xlabel="time [s]", ylabel="action [rad]")
    axes.set_title(title, fontsize=9.5, loc="left")
    axes.spines[["top", "right"]].set_visible(False)


PICTURES: dict[str, list[tuple[str, Run]]] = {
    "receding_horizon": [("receding_horizon, latest_only", simulate("receding_horizon"))],
    "synchronous": [("synchronous", simulate("synchronous"))],
    "temporal_ensembling": [("temporal_ensembling, coefficient 0.15", simulate("temporal_ensembling"))],
    "fixed_blends": [
        ("weighted_average (0.3 old, 0.7 new)", simulate("weighted_average")),
        ("conservative (0.7 old, 0.3 new)", simulate("conservative")),
    ],
    "real_time_chunking": [
        ("real_time_chunking", simulate("real_time_chunking")),
        ("real_time_chunking, where the third chunk takes longer", simulate("real_time_chunking", {2: 9})),
    ],
    "running_out": [
        ("receding_horizon, where nothing comes after the second chunk", simulate("receding_horizon", last=2))
    ],
}


def main() -> None:
    for name, runs in PICTURES.items():
        figure, rows = pyplot.subplots(
            len(runs), 1, figsize=(7.2, 2.7 * len(runs)), squeeze=False, layout="constrained"
        )
        for (title, run), (axes,) in zip(runs, rows, strict=True):
            draw(axes, run, title)
        figure.savefig(ROOT / "docs" / "images" / f"strategy_{name}.png", dpi=110)
        pyplot.close(figure)


if __name__ == "__main__":
    main()
