"""Matplotlib figures as SVG inside of a page: sharp, small, and in the page's own colours, light or dark.

A figure is drawn in colours that stand for roles; in the SVG each becomes the CSS variable of that role. So one drawing
serves the light page, the dark page and the print.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, MUTED, GRID = "#010101", "#010102", "#010103"
MEASURED, COMMANDED, WANTED, GOOD, BAD = "#010104", "#010105", "#010106", "#010107", "#010108"
SERIES = tuple(f"#0102{number:02x}" for number in range(8))
_VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    MEASURED: "measured",
    COMMANDED: "commanded",
    WANTED: "wanted",
    GOOD: "good",
    BAD: "bad",
    **{color: f"series-{number}" for number, color in enumerate(SERIES)},
}
_POINTS_PER_INCH = 72
_STYLE = {
    "svg.fonttype": "none",  # text stays text: it can be searched, and takes the page's font
    "svg.hashsalt": "vla",  # the same figure gives the same file
    "font.size": 9.5,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "lines.solid_capstyle": "round",
    "lines.solid_joinstyle": "round",
}


class Drawing:
    """One set of axes while it is drawn on, and its SVG afterwards."""

    def __init__(self, figure: Figure, axes: Axes) -> None:
        self.figure = figure
        self.axes = axes
        self.svg = Markup("")


@contextmanager
def drawing(description: str, width: int, height: int) -> Iterator[Drawing]:
    """Axes to draw on while the block runs; afterwards ``svg`` holds the element.

    Args:
        description: what one sees, for those who do not.
        width: of the picture at its natural size [px].
        height: likewise [px].
    """
    with matplotlib.rc_context(_STYLE):
        size = (width / _POINTS_PER_INCH, height / _POINTS_PER_INCH)
        figure = Figure(figsize=size, layout="constrained")
        figure.get_layout_engine().set(w_pad=2 / _POINTS_PER_INCH, h_pad=2 / _POINTS_PER_INCH)
        drawn = Drawing(figure, figure.subplots())
        yield drawn
        drawn.svg = _element(figure, description)


def _element(figure: Figure, description: str) -> Markup:
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    box = re.search(r'viewBox="[^"]*"', text)
    body = text[text.index(">") + 1 :]
    label = escape(description)
    used = re.sub(r' id="(?!\w*[0-9a-f]{8})[^"]*"', "", body)  # names of groups; those of clip paths and markers stay
    for color, name in _VARIABLES.items():
        used = used.replace(color, f"var(--{name})")
    return Markup(f'<svg {box.group() if box else ""} role="img" aria-label="{label}">{used}')  # noqa: S704
