"""Figures of a benchmark: on the screen and in a file."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vla.outputs import write_json


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios of what was measured one right after the other."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def machine() -> dict[str, Any]:
    """Where it was measured."""
    return {"cores": os.cpu_count(), "load_1min": round(os.getloadavg()[0], 2), "python": platform.python_version()}


def publish(figures: Mapping[str, Any], json_file: Path | None) -> None:
    """Prints figures, one a line, and writes them as JSON if a file is given."""
    for name, value in figures.items():
        print(f"{name:24}{_text(value)}")
    if json_file is not None:
        write_json(json_file, figures)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return json.dumps(value, default=str) if isinstance(value, dict | list | tuple) else str(value)
