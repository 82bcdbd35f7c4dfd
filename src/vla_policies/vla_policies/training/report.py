"""Losses of a training run: numbers in a CSV file and a picture of them."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

matplotlib.use("Agg")  # a picture file needs no display

CSV_FILE = "losses.csv"
PLOT_FILE = "losses.png"
_TRAIN_COLOR, _VALIDATION_COLOR, _RATE_COLOR = "#9db4c0", "#c8553d", "#5c6b73"


@dataclass(frozen=True)
class Progress:
    """Where a training run is.

    Attributes:
        step: training steps done.
        steps: how many there will be.
        learning_rate: of the last step.
        losses: mean since the last report, by name.
        validation: figures of the averaged weights, by name; empty where nothing was validated.
        seconds: time spent in this process.
    """

    step: int
    steps: int
    learning_rate: float
    losses: Mapping[str, float]
    validation: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    def row(self) -> dict[str, float]:
        """One line of the CSV file."""
        return {
            "step": self.step,
            "learning_rate": self.learning_rate,
            **self.losses,
            **self.validation,
            "seconds": round(self.seconds, 1),
        }


class LossLog:
    """The rows so far; a resumed run continues those before its first step."""

    def __init__(self, folder: Path, resumed_step: int) -> None:
        self._folder = folder
        self._rows: list[dict[str, float]] = []
        path = folder / CSV_FILE
        if resumed_step and path.is_file():
            with open(path, newline="") as file:
                rows = [{key: float(text) for key, text in row.items() if text} for row in csv.DictReader(file)]
            self._rows = [row for row in rows if row["step"] <= resumed_step]

    def add(self, progress: Progress) -> None:
        self._rows.append(progress.row())

    def write(self) -> None:
        """Writes the CSV file and the plot."""
        columns = list(dict.fromkeys(key for row in self._rows for key in row))
        with open(self._folder / CSV_FILE, "w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(self._rows)
        if self._rows:
            plot_losses(self._rows, self._folder / PLOT_FILE)


def plot_losses(rows: list[dict[str, float]], path: Path) -> None:
    """Draws the losses on a logarithmic scale, those of each of several embodiments too, and the learning rate below."""
    figure = Figure(figsize=(8.0, 5.0), dpi=120, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    kind = "l1" if any("l1" in row for row in rows) else "loss"
    _draw(upper, rows, kind, "training", color=_TRAIN_COLOR, linewidth=1.5)
    _draw(
        upper,
        rows,
        "validation_l1",
        "validation (averaged weights)",
        color=_VALIDATION_COLOR,
        linewidth=2.0,
        marker="o",
    )
    for place, name in enumerate(embodiments(rows)):
        color = f"C{place}"
        _draw(upper, rows, f"loss_{name}", f"training, {name}", color=color, linewidth=1.0, alpha=0.6)
        _draw(upper, rows, f"validation_l1_{name}", f"validation, {name}", color=color, linewidth=1.5, marker="s")
    upper.set_yscale("log")
    upper.set_ylabel("L1 loss, normalised actions" if kind == "l1" else "loss")
    upper.legend(frameon=False)
    _draw(lower, rows, "learning_rate", "learning rate", color=_RATE_COLOR, linewidth=1.5)
    lower.set_ylabel("learning rate")
    lower.set_xlabel("training step")
    lower.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(True, which="major", alpha=0.25)
    figure.savefig(path)


def embodiments(rows: list[dict[str, float]]) -> list[str]:
    """The embodiments whose losses there are beside that of all."""
    return list(dict.fromkeys(key.removeprefix("loss_") for row in rows for key in row if key.startswith("loss_")))


def _draw(axes: Axes, rows: list[dict[str, float]], key: str, label: str, **style: Any) -> None:
    points = [(row["step"], row[key]) for row in rows if key in row]
    if points:
        steps, values = zip(*points, strict=True)
        axes.plot(steps, values, label=label, markersize=3.0, **style)
