"""How fast image rows are appended to an episode, compared with write(2) of the same bytes; and what compression costs.

``ratio`` is the time of write(2) divided by that of the writer, median over rounds in which both take turns: 1 would be no cost
at all. The writer's time is that of ``append`` with everything that belongs to it: checks, numbers, index, journal, flushes.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer

from bench.support.figures import machine, median_ratio, publish
from vla.paths import checkout
from vla_core.embodiment import Embodiment, load_embodiment
from vla_core.encoded import encode_jpeg
from vla_core.episodes import EpisodeMetadata, Hdf5EpisodeWriter
from vla_core.episodes.deflate import compressed
from vla_core.episodes.synthetic import synthetic_step
from vla_core.observation import Step

app = typer.Typer()


@app.command()
def episode_write(
    rounds: Annotated[int, typer.Option(min=5, help="How often each of the two is measured.")] = 15,
    steps: Annotated[int, typer.Option(min=1, help="Rows in each round.")] = 60,
    cameras: Annotated[int, typer.Option(min=1, help="Cameras of 640x480.")] = 3,
    folder: Annotated[
        Path | None, typer.Option(help="Where to write; default: the folder for temporary files.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures there.")] = None,
) -> None:
    """Appending image rows against write(2) of the same bytes."""
    embodiment = with_cameras(cameras)
    made = [synthetic_step(embodiment, index) for index in range(steps)]
    ours, plain = [], []
    for number in range(rounds):
        scratch = Path(tempfile.mkdtemp(prefix="vla-bench-", dir=folder))
        try:
            for measure in (_append, _write)[:: 1 if number % 2 else -1]:
                seconds = measure(scratch, embodiment, made)
                (ours if measure is _append else plain).append(seconds)
        finally:
            shutil.rmtree(scratch)
    megabytes = steps * cameras * 640 * 480 * 3 / 1e6
    figures: dict[str, Any] = {
        "ratio": median_ratio(plain, ours),
        "append_mb_per_s": megabytes / float(np.median(ours)),
        "write_mb_per_s": megabytes / float(np.median(plain)),
        "rounds": rounds,
    }
    publish({**figures, **_compression(rounds), "machine": machine()}, json_file)


def with_cameras(count: int, images: str = "raw") -> Embodiment:
    """The FR3 with so many cameras of 640x480."""
    fr3 = load_embodiment(checkout() / "config" / "embodiments" / "fr3.yaml")
    camera = dataclasses.replace(next(iter(fr3.cameras.values())), width=640, height=480, images=images)
    cameras = {f"camera{number}": camera for number in range(count)}
    return dataclasses.replace(fr3, cameras=cameras, steps=dataclasses.replace(fr3.steps, clock="camera0"))


def _append(folder: Path, embodiment: Embodiment, steps: list[Step]) -> float:
    writer = Hdf5EpisodeWriter(folder / "ours", EpisodeMetadata("", "sim", embodiment))
    begin = time.perf_counter()
    for step in steps:
        writer.append(step)
    writer.flush()
    seconds = time.perf_counter() - begin
    writer.discard()
    return seconds


def _write(folder: Path, embodiment: Embodiment, steps: list[Step]) -> float:
    path = folder / "plain"
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    begin = time.perf_counter()
    for step in steps:
        for role in embodiment.cameras:
            os.write(descriptor, step.samples[role].value)  # type: ignore[arg-type]
    seconds = time.perf_counter() - begin
    os.close(descriptor)
    path.unlink()
    return seconds


def _compression(rounds: int) -> dict[str, float]:
    """One 640x480 picture with the noise of a camera: processor time of each way to keep it, and what it becomes."""
    picture = cv2.cvtColor(cv2.imread(str(checkout() / "docs" / "images" / "pick_place.jpg")), cv2.COLOR_BGR2RGB)
    noise = np.random.default_rng(0).normal(0, 2.5, (480, 640, 3))
    image = np.clip(cv2.resize(picture, (640, 480)) + noise, 0, 255).astype(np.uint8)
    plain = image.reshape(-1)
    ways: dict[str, Callable[[], bytes]] = {
        "isal": lambda: compressed(plain),
        "zlib": lambda: zlib.compress(plain, 1),
        "jpeg95": lambda: encode_jpeg(image, 95),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    sizes = {}
    for _ in range(rounds):
        for name, way in ways.items():
            begin = time.thread_time()
            sizes[name] = len(way()) / image.nbytes
            times[name].append(time.thread_time() - begin)
    figures = {f"{name}_ms": 1e3 * float(np.median(found)) for name, found in times.items()}
    figures |= {f"{name}_size": size for name, size in sizes.items()}
    return {**figures, "isal_speedup": median_ratio(times["zlib"], times["isal"])}
