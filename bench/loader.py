"""Samples per second of our data set against a loader as ACT's: open the file for every sample, slice it, close it.

Both give batches of the same windows in the same order to the same torch DataLoader, in one process: images uint8 of all cameras,
``qpos``, all actions to the end of the episode, and where they are padding. ``ratio`` is the time of the ACT-style loader divided
by ours, median over rounds in which they take turns, for raw images; every byte of every sample is compared. Neither side
turns images into float32, which ACT does in the loader: it would cost both the same. The files are in the page cache.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import cv2
import h5py
import numpy as np
import torch
import typer
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from bench.episode_write import with_cameras
from bench.support.figures import machine, median_ratio, publish
from bench.support.pictures import picture
from vla_core.embodiment import Embodiment
from vla_core.episodes import EpisodeMetadata, Hdf5EpisodeWriter
from vla_core.episodes.synthetic import synthetic_step
from vla_core.observation import Sample, Step
from vla_policies.data import EpisodeDataset, act_windows, window_loader

app = typer.Typer()

Batch = tuple[Tensor, Tensor, Tensor, Tensor]

PICTURES = 8  # different ones; making them takes longer than anything that is measured


class ActStyle(Dataset[Batch]):
    """Opens the episode for every sample, reads what it needs, and closes it."""

    def __init__(self, samples: Sequence[tuple[Path, int]], cameras: Sequence[str]) -> None:
        self._samples = samples
        self._cameras = cameras

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Batch:
        path, start = self._samples[index]
        with h5py.File(path, "r") as root:
            is_sim = root.attrs["sim"]
            is_compressed = root.attrs["compress"]
            shape = root["/action"].shape
            qpos = root["/observations/qpos"][start]
            images = [root[f"/observations/images/{camera}"][start] for camera in self._cameras]
            first = start if is_sim else max(0, start - 1)
            action = root["/action"][first:]
        if is_compressed:
            images = [cv2.cvtColor(cv2.imdecode(image, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB) for image in images]
        padded = np.zeros(shape, np.float32)
        padded[: len(action)] = action
        is_pad = np.zeros(shape[0], bool)
        is_pad[len(action) :] = True
        stacked = torch.from_numpy(np.stack(images))
        return stacked, torch.from_numpy(qpos).float(), torch.from_numpy(padded), torch.from_numpy(is_pad)


def write_episodes(folder: Path, embodiment: Embodiment, episodes: int, steps: int) -> list[Path]:
    """Episodes of the project's writer with pictures as hard to compress as real ones, each with its own number in it."""
    pictures = [picture(480, 640, seed) for seed in range(PICTURES)]
    paths = []
    for episode in range(episodes):
        writer = Hdf5EpisodeWriter(folder, EpisodeMetadata("bench", "sim", embodiment))
        for index in range(steps):
            step = synthetic_step(embodiment, episode * steps + index)
            samples = dict(step.samples)
            for number, role in enumerate(embodiment.cameras):
                image = np.roll(pictures[(index + number) % PICTURES], 8 * (index + episode), axis=1)
                samples[role] = Sample(step.stamp_ns, step.stamp_ns, image)
            writer.append(Step(step.stamp_ns, samples))
        paths.append(writer.finish("success"))
    return paths


def seconds_of(loader: Iterable[Any]) -> float:
    begin = time.perf_counter()
    for _ in loader:
        pass
    return time.perf_counter() - begin


def require_equal(ours: DataLoader[Any], theirs: DataLoader[Any], cameras: Sequence[str]) -> int:
    """Compares every byte of every sample. Returns the number of samples."""
    count = 0
    for mine, (images, qpos, actions, is_pad) in zip(ours, theirs, strict=True):
        pairs = [
            *((mine["images"][camera][:, 0], images[:, number]) for number, camera in enumerate(cameras)),
            (mine["proprioception"]["qpos"][:, 0], qpos),
            (mine["actions"], actions),
            (mine["action_is_pad"], is_pad),
        ]
        for a, b in pairs:
            if a.dtype != b.dtype or a.shape != b.shape or not torch.equal(a, b):
                raise SystemExit("the samples of the two loaders differ")
        count += len(qpos)
    return count


def compare(
    images: str, folder: Path, cameras: int, episodes: int, steps: int, samples: int, batch_size: int, rounds: int
) -> dict[str, Any]:
    """Measures both sides on episodes whose images are kept in one way."""
    embodiment = with_cameras(cameras, images)
    paths = write_episodes(folder, embodiment, episodes, steps)
    roles = tuple(embodiment.cameras)
    begin = time.perf_counter()
    dataset = EpisodeDataset(paths, act_windows(roles))
    index_seconds = time.perf_counter() - begin
    drawn = np.random.default_rng(0).integers(0, len(dataset), samples)
    where = [divmod(int(index), steps) for index in drawn]
    ours = window_loader(dataset, batch_size, sampler=drawn.tolist())
    theirs = DataLoader(ActStyle([(paths[e], step) for e, step in where], roles), batch_size)
    compared = require_equal(ours, theirs, roles)  # and everything is in the page cache now
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    for number in range(rounds):
        for side, loader in (("ours", ours), ("theirs", theirs))[:: 1 if number % 2 else -1]:
            times[side].append(seconds_of(loader))
    ratios = [theirs_s / ours_s for theirs_s, ours_s in zip(times["theirs"], times["ours"], strict=True)]
    return {
        "ratio": median_ratio(times["theirs"], times["ours"]),
        "ratio_range": [round(min(ratios), 2), round(max(ratios), 2)],
        "samples_per_s": samples / statistics.median(times["ours"]),
        "act_style_samples_per_s": samples / statistics.median(times["theirs"]),
        "index_s": index_seconds,
        "equal_samples": compared,
    }


@app.command()
def main(
    episodes: Annotated[int, typer.Option(min=1, help="Episodes of each kind.")] = 5,
    steps: Annotated[int, typer.Option(min=2, help="Steps of an episode.")] = 200,
    cameras: Annotated[int, typer.Option(min=1, help="Cameras of 640x480.")] = 3,
    samples: Annotated[int, typer.Option(min=1, help="Samples of a round.")] = 256,
    batch_size: Annotated[int, typer.Option(min=1, help="Samples of a batch.")] = 8,
    rounds: Annotated[int, typer.Option(min=5, help="How often each side runs.")] = 7,
    folder: Annotated[
        Path | None, typer.Option(help="Where to write; default: the folder for temporary files.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures there.")] = None,
) -> None:
    """Samples per second of our data set against opening the file for every sample (at least 5, raw images)."""
    torch.set_num_threads(1)
    figures: dict[str, Any] = {}
    for images in ("raw", "jpeg", "lossless"):
        scratch = Path(tempfile.mkdtemp(prefix="vla-bench-", dir=folder))
        try:
            found = compare(images, scratch, cameras, episodes, steps, samples, batch_size, rounds)
        finally:
            shutil.rmtree(scratch)
        figures |= found if images == "raw" else {f"{images}_{name}": value for name, value in found.items()}
    publish({**figures, "batch_size": batch_size, "rounds": rounds, "machine": machine()}, json_file)
