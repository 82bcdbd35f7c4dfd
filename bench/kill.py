"""Kills a recorder again and again, at random instants, and looks at what is left of its episodes.

Each trial is a process that records cameras of 640x480 at 30 Hz, a native stream at 1 kHz and a rollout's chunks in real time,
with the writer that the recorder uses. ``max_lost_s`` is the longest time between the kill and the oldest row or sample that is
not in the recovered episode; ``torn_rows`` counts rows, as plain h5py reads them, that are not exactly what was recorded.
"""

from __future__ import annotations

import contextlib
import dataclasses
import mmap
import multiprocessing
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import h5py
import numpy as np
import typer

from bench.episode_write import with_cameras
from bench.support.figures import machine, publish
from vla_core.action_chunk import ActionChunk
from vla_core.embodiment import Embodiment
from vla_core.encoded import encode_jpeg
from vla_core.episodes import (
    BackgroundEpisodeWriter,
    EpisodeMetadata,
    Hdf5EpisodeWriter,
    NativeSamples,
    RolloutChunk,
    list_episodes,
    recover_folder,
)
from vla_core.episodes.synthetic import START_NS, synthetic_numbers, synthetic_step

app = typer.Typer()

_IMAGES = ("raw", "jpeg", "lossless")
_NATIVE_PER_STEP = 33
_MOST_STEPS = 10_000


@app.command()
def kill(
    trials: Annotated[int, typer.Option(min=1, help="Recorders to kill.")] = 200,
    seconds: Annotated[float, typer.Option(min=0.1, help="Longest recording [s].")] = 2.5,
    cameras: Annotated[int, typer.Option(min=1, help="Cameras of 640x480.")] = 2,
    seed: Annotated[int, typer.Option(help="Of the instants.")] = 0,
    folder: Annotated[
        Path | None, typer.Option(help="Where to record; default: the folder for temporary files.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures there.")] = None,
) -> None:
    """SIGKILL at random instants of a recording."""
    instants = random.Random(seed)
    found = []
    for number in range(trials):
        images = _IMAGES[number % len(_IMAGES)]
        with _scratch(folder) as scratch:
            found.append(_trial(scratch, _robot(cameras, images), instants.uniform(0.0, seconds)))
        if (number + 1) % 20 == 0:
            print(f"{number + 1} of {trials} killed, {sum(one.recovered for one in found)} recovered", flush=True)
    figures = {
        "trials": trials,
        "recovered": sum(one.recovered for one in found),
        "max_lost_s": max(one.lost_s for one in found),
        "torn_rows": sum(one.torn for one in found),
        "rows": sum(one.rows for one in found),
        "opened_before_recovery": sum(one.opened for one in found),
        "rebuilt": sum(not one.opened for one in found),
        "max_lost_s_before_recovery": max((one.flushed_lost_s for one in found if one.opened), default=0.0),
        "machine": machine(),
    }
    publish(figures, json_file)


@dataclass(frozen=True)
class _Trial:
    """What was found after a kill.

    recovered: plain h5py opens the recovered episode. rows: in it. torn: rows in it that are not what was recorded. lost_s: time
    from the oldest row or sample that is missing to the kill [s]. opened: plain h5py opened the partial file as it was left.
    flushed_lost_s: what the partial file lacked as it was left [s].
    """

    recovered: bool
    rows: int
    torn: int
    lost_s: float
    opened: bool
    flushed_lost_s: float


def _robot(cameras: int, images: str) -> Embodiment:
    robot = with_cameras(cameras, images)
    streams = {name: dataclasses.replace(stream, native=name == "joints") for name, stream in robot.streams.items()}
    return dataclasses.replace(robot, streams=streams)


@contextlib.contextmanager
def _scratch(folder: Path | None) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="vla-bench-", dir=folder))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def _trial(folder: Path, robot: Embodiment, after_s: float) -> _Trial:
    # when each step was handed to the writer, on the system's monotonic clock [s]; 0 before
    given_s = np.frombuffer(mmap.mmap(-1, 8 * _MOST_STEPS), np.float64)
    process = multiprocessing.get_context("fork").Process(target=_record, args=(folder, robot, given_s), daemon=True)
    process.start()
    while given_s[1] == 0 and process.is_alive():  # before, there may be nothing that could be recovered
        time.sleep(0.001)
    time.sleep(after_s)
    assert process.pid is not None
    killed_s = time.monotonic()
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    if process.exitcode != -signal.SIGKILL:
        raise RuntimeError(
            f"expected a recorder that runs until it is killed, found one that ended ({process.exitcode})"
        )
    flushed = _flushed_rows(folder)
    recover_folder(folder)
    episodes = list_episodes(folder)
    rows, torn = _rows_and_torn(episodes[0], robot) if episodes else (0, 0)
    return _Trial(
        recovered=bool(episodes),
        rows=rows,
        torn=torn,
        lost_s=_lost_s(given_s, rows, killed_s),
        opened=flushed is not None,
        flushed_lost_s=_lost_s(given_s, flushed or 0, killed_s),
    )


def _record(folder: Path, robot: Embodiment, given_s: np.ndarray) -> None:
    """Records in real time until it is killed."""
    writer = BackgroundEpisodeWriter(Hdf5EpisodeWriter(folder, EpisodeMetadata("", "sim", robot)))
    begin_s = time.monotonic() + 0.1
    for index in range(_MOST_STEPS):
        step = synthetic_step(robot, index)
        time.sleep(max(0.0, begin_s + index * robot.step_ns * 1e-9 - time.monotonic()))
        given_s[index] = time.monotonic()
        writer.beside(_native(index))
        if index % 3 == 0:
            writer.beside(_chunk(robot, index))
        writer.append(step, f"prompt {index // 10}")


def _native(index: int) -> NativeSamples:
    stamps = START_NS + (index * _NATIVE_PER_STEP + np.arange(_NATIVE_PER_STEP, dtype=np.int64)) * 1_000_000
    return NativeSamples("joints", stamps, stamps, np.repeat(stamps[:, None] % 1_000_000_007, 21, axis=1) * 1e-3)


def _chunk(robot: Embodiment, index: int) -> RolloutChunk:
    actions = np.full((20, len(robot.action_names)), float(index))
    chunk = ActionChunk(actions, robot.action_names, START_NS, robot.step_ns, START_NS, "policy", index)
    return RolloutChunk(chunk, START_NS, "receding_horizon", False)


def _lost_s(given_s: np.ndarray, rows: int, killed_s: float) -> float:
    """Time from the oldest step that is not among the rows to the kill [s]."""
    return killed_s - float(given_s[rows]) if given_s[rows] > 0 else 0.0


def _flushed_rows(folder: Path) -> int | None:
    """Rows that plain h5py finds in the partial file as it was left; None if it does not open."""
    try:
        with h5py.File(next(folder.glob("*.partial")), "r") as file:
            steps = int(file["vla"].attrs["steps"])
            return steps if all(len(images) >= steps for images in file["observations/images"].values()) else None
    except (OSError, RuntimeError, KeyError):
        return None


def _rows_and_torn(path: Path, robot: Embodiment) -> tuple[int, int]:
    """Rows of an episode, and how many of them are not what was recorded, in any dataset. Plain h5py."""
    with h5py.File(path, "r") as file:
        rows = int(file["vla"].attrs["steps"])
        torn = np.zeros(rows, bool)
        for name, expected in synthetic_numbers(robot, rows).items():
            found = file[name][:]
            torn |= len(found) != rows or (found != expected).reshape(rows, -1).any(axis=1)
        for role in robot.cameras:
            images = file[f"observations/images/{role}"]
            lengths = file["compress_len"][list(robot.cameras).index(role)] if "compress_len" in file else None
            for row in range(rows):
                image = synthetic_step(robot, row).samples[role].value
                if lengths is None:
                    torn[row] |= not np.array_equal(images[row], image)
                else:
                    torn[row] |= images[row][: int(lengths[row])].tobytes() != encode_jpeg(image, 95)
        torn |= _torn_beside(file, robot, rows)
        return rows, int(torn.sum())


def _torn_beside(file: h5py.File, robot: Embodiment, rows: int) -> np.ndarray:
    """Rows whose native samples or chunk, which were given just before them, are missing or others than were recorded."""
    torn = np.zeros(rows, bool)
    native = file["vla/native/joints"]
    chunks = file["vla/rollout/actions"] if rows else []
    for row in range(rows):
        expected = _native(row)
        place = slice(row * _NATIVE_PER_STEP, (row + 1) * _NATIVE_PER_STEP)
        same = np.array_equal(native["stamp_ns"][place], expected.stamps_ns)
        torn[row] = not (same and np.array_equal(native["value"][place], expected.values))
        if row % 3 == 0:
            torn[row] |= len(chunks) <= row // 3 or not np.array_equal(
                chunks[row // 3], _chunk(robot, row).chunk.actions
            )
    return torn
