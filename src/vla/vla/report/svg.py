"""Matplotlib figures as SVG inside of a page: sharp, small, and in the page's own colours, light or dark.

A figure is drawn in colours that stand for roles; in the SVG each becomes the CSS variable of that role. So one drawing
serves the light page, the dark page and the print.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

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
_PAD = 2 / _POINTS_PER_INCH  # around the axes [inch]
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
        figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(h_pad=_PAD, w_pad=_PAD))
        drawn = Drawing(figure, figure.subplots())
        yield drawn
        drawn.svg = _element(figure, description)


def _element(figure: Figure, description: str) -> Markup:
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    box = re.search(r'viewBox="[^"]*"', text)
    body = text[text.index(">", text.index("<svg")) + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", body, flags=re.DOTALL)
    for color, name in _VARIABLES.items():
        body = body.replace(color, f"var(--{name})")
    label = escape(description)
    return Markup(f'<svg {box.group() if box else ""} role="img" aria-label="{label}">{_with_own_ids(body)}')


def _with_own_ids(body: str) -> str:
    """Without the names that nothing refers to, and with the others as no other element of the page has them."""
    prefix = f"i{zlib.crc32(body.encode()):08x}-"
    for name in set(re.findall(r' id="([^"]*)"', body)):
        used = f'"#{name}"' in body or f"url(#{name})" in body
        body = body.replace(f' id="{name}"', f' id="{prefix}{name}"' if used else "")
        body = body.replace(f'"#{name}"', f'"#{prefix}{name}"').replace(f"url(#{name})", f"url(#{prefix}{name})")
    return body
