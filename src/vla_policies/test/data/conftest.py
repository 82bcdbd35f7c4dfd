"""Episodes to make windows of: ours in every way that images are kept, and files as ALOHA and ACT write them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest

from vla_core.embodiment import Embodiment
from vla_core.episodes import EpisodeMetadata, Hdf5EpisodeWriter
from vla_core.episodes.synthetic import synthetic_step


def _kept_as(embodiment: Embodiment, images: str, **align: object) -> Embodiment:
    """The embodiment with another way to keep images, and with changes of every camera's and stream's alignment."""

    def changed(source):
        return dataclasses.replace(source, align=dataclasses.replace(source.align, **align))

    cameras = {role: dataclasses.replace(changed(camera), images=images) for role, camera in embodiment.cameras.items()}
    streams = {name: changed(stream) for name, stream in embodiment.streams.items()}
    return dataclasses.replace(embodiment, cameras=cameras, streams=streams)


def _write(
    folder: Path,
    embodiment: Embodiment,
    steps: int,
    first: int = 0,
    dropped: Collection[int] = (),
    marked: Mapping[int, str] | None = None,
    drives: Collection[int] = (),
    prompts: Mapping[int, str] | None = None,
) -> Path:
    """An episode of synthetic steps, of which some are left out, marked, driven by a policy, or begin with another prompt."""
    writer = Hdf5EpisodeWriter(folder, EpisodeMetadata("pick", "mock", embodiment))
    for index in range(steps):
        if index in dropped:
            continue
        step = synthetic_step(embodiment, first + index)
        marks = frozenset({(marked or {})[index]} if index in (marked or {}) else ())
        step = dataclasses.replace(step, marked=marks, policy_drives=index in drives)
        writer.append(step, (prompts or {}).get(index, ""))
    return writer.finish("success")


def _write_plain(
    path: Path,
    steps: int,
    sim: bool | None = True,
    layout: str = "chunked",
    cameras: tuple[str, ...] = ("top", "wrist"),
    size: tuple[int, int] = (12, 16),
    joints: int = 14,
    **options: object,
) -> Path:
    """A file as ALOHA's record_episodes and ACT's record_sim_episodes write them; ``jpeg``: Mobile ALOHA's variant."""
    rng = np.random.default_rng([steps, joints])
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        if sim is not None:
            file.attrs["sim"] = sim
        for name in ("observations/qpos", "observations/qvel", "action"):
            file.create_dataset(name, data=rng.normal(size=(steps, joints)).astype(np.float32))
        for camera in cameras:
            images = rng.integers(0, 256, (steps, *size, 3), np.uint8)
            name = f"observations/images/{camera}"
            if layout == "jpeg":
                files = [cv2.imencode(".jpg", image)[1].reshape(-1) for image in images]
                padded = np.zeros((steps, max(map(len, files))), np.uint8)
                for row, data in enumerate(files):
                    padded[row, : len(data)] = data
                file.create_dataset(name, data=padded, chunks=(1, padded.shape[1]))
                file.attrs["compress"] = True
            elif layout == "contiguous":
                file.create_dataset(name, data=images)
            else:
                file.create_dataset(name, data=images, **{"chunks": (1, *size, 3), **options})
    return path


@pytest.fixture(scope="session")
def kept_as() -> Callable[..., Embodiment]:
    return _kept_as


@pytest.fixture(scope="session")
def write() -> Callable[..., Path]:
    return _write


@pytest.fixture(scope="session")
def write_plain() -> Callable[..., Path]:
    return _write_plain
