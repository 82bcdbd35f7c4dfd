"""Our episodes as a robomimic data set: one HDF5 file with a demonstration for each, and back.

The layout is that of robomimic's docs/datasets/overview.md. Actions are scaled to -1 to 1 there; the scale stands beside them.
What the layout has no place for, a copy of an episode's group ``/vla`` and the actions as they were, to the last bit, stands in
each demonstration; robomimic ignores it.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from vla_core import config
from vla_core.embodiment import Embodiment
from vla_core.episodes import EpisodeReader, schema
from vla_core.episodes.schema import Attribute, RootAttribute
from vla_recorder.formats.conversion import FormatError, Progress, Report, Silent, under_construction
from vla_recorder.formats.ours import Images, source_of, with_images
from vla_recorder.formats.source import write_episode

_GYM = 2  # robomimic.envs.env_base.EnvType: there is none for real robots; it matters only to rollouts in simulation
_VALID_SHARE = 0.1
_SPLIT_SEED = 0
_EXACT_ACTIONS = f"{schema.VLA}/{schema.ACTION}"
_SCALE, _OFFSET = "action_scale", "action_offset"


def export_robomimic(
    paths: Sequence[Path], target: Path, valid_share: float = _VALID_SHARE, progress: Progress | None = None
) -> Report:
    """Writes episodes as one file.

    ``action = scaled * action_scale + action_offset``, from attributes of ``/data``: the smallest and the largest action of each
    dimension become -1 and 1. ``next_obs`` are views of ``obs``, one step later, and take no space. The filter keys are ``train``
    and ``valid``, drawn at random but always the same, and ``success`` and ``failure``.

    Args:
        paths: the episodes, of one embodiment.
        target: the file; must not exist.
        valid_share: share of the demonstrations for ``valid``, 0 to 1.
        progress: is told how far it is.

    Raises:
        FormatError: no episodes, different vectors, or something is at ``target``.
        EpisodeError: an episode cannot be read.
    """
    progress, report = progress or Silent(), Report(written=[target], episodes=len(paths))
    scale, offset, names = _action_range(paths, target)
    with under_construction(target) as partial, h5py.File(partial, "w", libver=("earliest", "v110")) as file:
        data = file.create_group("data")
        data.attrs.update({_SCALE: scale, _OFFSET: offset, "action_names": json.dumps(names)})
        outcomes: list[str] = []
        for number, path in enumerate(paths):
            with EpisodeReader(path) as episode:
                progress.begin(f"{path.name} ({number + 1} of {len(paths)})", len(episode))
                demo = data.create_group(f"demo_{number}")
                _write_demo(demo, episode, (episode.actions - offset) / scale, progress)
                _keep_ours(demo, episode, report)
                outcomes.append(episode.info.outcome)
                report.steps += len(episode)
                environment = episode.info.metadata
        data.attrs["total"] = report.steps
        name = environment.task or environment.embodiment.name
        env_args = {"env_name": name, "type": _GYM, "env_type": _GYM, "env_version": "", "env_kwargs": {}}
        data.attrs["env_args"] = json.dumps(env_args)
        _write_masks(file, outcomes, valid_share)
    return report


def import_robomimic(
    path: Path, target: Path, images: Images | None = None, progress: Progress | None = None
) -> Report:
    """Makes our episodes of a file that :func:`export_robomimic` wrote, with the numbers that they had.

    Raises:
        FormatError: it is none of ours: others do not say what their observations are, nor when they were made.
        EpisodeError: an episode cannot be written.
    """
    report = Report()
    with _opened(path) as file:
        data = file["data"]
        demos = sorted(data, key=lambda name: int(name.removeprefix("demo_")))
        for name in demos:
            if _EXACT_ACTIONS not in data[name]:
                raise FormatError(
                    f"{path}: {name}: expected a demonstration exported by vla, found one without its group 'vla'"
                )
            with _as_episode(path, name, data) as episode:
                known = episode.info.metadata.embodiment
                source = source_of(episode, embodiment=with_images(known, images) if images else known)
                written, steps = write_episode(target, source, progress)
            report.written.append(written)
            report.steps += steps
    report.episodes = len(report.written)
    return report


def _action_range(paths: Sequence[Path], target: Path) -> tuple[NDArray[np.float64], NDArray[np.float64], list[str]]:
    """Scale and offset (action_dim,) with which all actions lie in -1 to 1, and the names of the dimensions."""
    lows, highs, names = [], [], set()
    for path in paths:
        with EpisodeReader(path) as episode:
            actions = episode.actions
            if not np.isfinite(actions).all():
                raise FormatError(f"{path}: expected finite actions, which can be scaled to -1 to 1, found others")
            lows.append(actions.min(axis=0))
            highs.append(actions.max(axis=0))
            names.add(tuple(episode.info.metadata.embodiment.action_names))
    if len(names) != 1:
        found = "; ".join(str(list(one)) for one in sorted(names)) or "no episodes"
        raise FormatError(f"{target}: expected episodes with one set of action names, found {found}")
    low, high = np.min(lows, axis=0), np.max(highs, axis=0)
    half = (high - low) / 2
    return np.where(half > 0, half, 1.0), low + half, list(names.pop())


def _write_demo(demo: h5py.Group, episode: EpisodeReader, actions: NDArray[np.float64], progress: Progress) -> None:
    length, last = len(episode), len(episode) - 1
    demo.attrs["num_samples"] = length
    demo.attrs["ep_meta"] = json.dumps({"lang": episode.info.metadata.prompt})
    demo["states"] = np.zeros((length, 0))  # of a simulator; there is none
    demo["actions"] = np.clip(actions, -1.0, 1.0)  # rounding may lead a little beyond
    done = (np.arange(length) == last).astype(np.int64)
    demo["dones"] = done
    demo["rewards"] = done.astype(np.float64) * (episode.info.outcome == "success")
    obs = demo.create_group("obs")
    embodiment = episode.info.metadata.embodiment
    for group in embodiment.proprioception:
        obs[group] = episode.proprioception(group)
    pictures = {
        role: _pictures(obs, f"{role}_image", length, (c.height, c.width, 3), np.uint8)
        for role, c in embodiment.cameras.items()
    }
    depths = {role: _depths(obs, episode, role) for role in embodiment.depth_cameras}
    for index in range(length):
        for role, dataset in pictures.items():
            dataset.id.write_direct_chunk((index, 0, 0, 0), np.ascontiguousarray(episode.image(role, index)))
        for role, dataset in depths.items():
            dataset.id.write_direct_chunk((index, 0, 0, 0), np.ascontiguousarray(episode.depth(role, index)))
        progress.advance()
    _write_next_obs(demo, obs, last)


def _pictures(obs: h5py.Group, name: str, length: int, shape: tuple[int, ...], dtype: Any) -> h5py.Dataset:
    return obs.create_dataset(name, shape=(length, *shape), dtype=dtype, chunks=(1, *shape))


def _depths(obs: h5py.Group, episode: EpisodeReader, role: str) -> h5py.Dataset:
    image = episode.depth(role, 0)
    return _pictures(obs, f"{role}_depth", len(episode), (*image.shape, 1), image.dtype)


def _write_next_obs(demo: h5py.Group, obs: h5py.Group, last: int) -> None:
    """What is observed one step later, the last observation again at the end, as views of what stands there already."""
    following = demo.create_group("next_obs")
    for name, dataset in obs.items():
        source = h5py.VirtualSource(".", dataset.name, shape=dataset.shape, dtype=dataset.dtype)
        view = h5py.VirtualLayout(shape=dataset.shape, dtype=dataset.dtype)
        if last > 0:
            view[:last] = source[1:]
        view[last:] = source[last:]
        following.create_virtual_dataset(name, view)


def _keep_ours(demo: h5py.Group, episode: EpisodeReader, report: Report) -> None:
    """Copies what only our format says. The images are not encoded here, and the copy's embodiment says so."""
    embodiment = episode.info.metadata.embodiment
    if any(camera.images != "raw" for camera in embodiment.cameras.values()):
        report.note("left out: how images were encoded; they stand there as pixels")
    with h5py.File(episode.path, "r") as source:
        source.copy(schema.VLA, demo)
    demo[_EXACT_ACTIONS] = episode.actions
    raw = config.to_mapping(_unencoded(embodiment))
    demo[schema.VLA].attrs[Attribute.EMBODIMENT] = json.dumps(raw)


def _unencoded(embodiment: Embodiment) -> Embodiment:
    return with_images(embodiment, "raw")


def _write_masks(file: h5py.File, outcomes: Sequence[str], valid_share: float) -> None:
    demos = [f"demo_{number}" for number in range(len(outcomes))]
    shuffled = random.Random(_SPLIT_SEED).sample(demos, len(demos))
    count = min(len(demos) - 1, round(valid_share * len(demos))) if valid_share > 0 else 0
    valid = set(shuffled[: max(count, 1 if valid_share > 0 and len(demos) > 1 else 0)])
    masks = {
        "train": [demo for demo in demos if demo not in valid],
        "valid": [demo for demo in demos if demo in valid],
        "success": [demo for demo, outcome in zip(demos, outcomes, strict=True) if outcome == "success"],
        "failure": [demo for demo, outcome in zip(demos, outcomes, strict=True) if outcome != "success"],
    }
    for key, chosen in masks.items():
        if chosen:
            file[f"mask/{key}"] = np.array(chosen, dtype="S")


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    if not path.is_file():
        raise FormatError(f"{path}: expected a robomimic file, found {'a folder' if path.is_dir() else 'nothing'}")
    try:
        with h5py.File(path, "r") as file:
            if "data" not in file:
                raise FormatError(f"{path}: expected a robomimic file with the group 'data', found {list(file)}")
            yield file
    except OSError as error:
        raise FormatError(f"{path}: expected a whole HDF5 file: {str(error).splitlines()[0]}") from error


@contextmanager
def _as_episode(path: Path, name: str, data: h5py.Group) -> Iterator[EpisodeReader]:
    """A demonstration seen as the episode that it was: a small file of links into it."""
    demo, where = data[name], f"/data/{name}"
    with tempfile.TemporaryDirectory() as folder:
        links = Path(folder) / f"{name}.hdf5"
        with h5py.File(links, "w") as file:
            file.attrs.update({RootAttribute.SIM: True, RootAttribute.COMPRESS: False})
            file[schema.VLA] = h5py.ExternalLink(path.resolve(), f"{where}/{schema.VLA}")
            file[schema.ACTION] = demo[_EXACT_ACTIONS][()]
            for key, stored in demo["obs"].items():
                if key.endswith("_depth"):  # with one colour there, with none here
                    depths = stored[..., 0]
                    file.create_dataset(_place_of(key), data=depths, chunks=(1, *depths.shape[1:]))
                else:
                    file[_place_of(key)] = h5py.ExternalLink(path.resolve(), f"{where}/obs/{key}")
        with EpisodeReader(links) as episode:
            yield episode


def _place_of(key: str) -> str:
    """Where an observation stands in an episode."""
    if key.endswith("_image"):
        return schema.image(key.removesuffix("_image"))
    if key.endswith("_depth"):
        return schema.depth(key.removesuffix("_depth"))
    return schema.proprioception(key)
