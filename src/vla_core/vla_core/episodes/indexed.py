"""What a loader needs of an episode, read once: its numbers, and where its images lie."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from vla_core.embodiment import Embodiment
from vla_core.episodes import hdf5, schema
from vla_core.episodes.image_places import ImagePlaces, locate_images
from vla_core.episodes.layout import marked_sources_of
from vla_core.episodes.reader import EpisodeReader
from vla_core.errors import EpisodeError

_IMAGES = "observations/images"
_GROUPS = ("qpos", "qvel", "effort")


@dataclass(frozen=True)
class FileState:
    """What changes when a file does."""

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> FileState:
        """Raises EpisodeError if there is no such file."""
        try:
            found = os.stat(path)
        except OSError as error:
            raise EpisodeError(f"{path}: expected an episode file ({error.strerror or error})") from error
        return cls(found.st_size, found.st_mtime_ns)


@dataclass(frozen=True, eq=False)
class IndexedEpisode:
    """An episode of T steps, without its images.

    Attributes:
        path: of the file.
        state: of the file when it was read.
        embodiment: the robot; None for a file of ALOHA's or ACT's own, which does not say.
        sim: the root attribute of that name; None if there is none.
        prompts: language instructions that ``prompt_index`` counts.
        vectors: ``action`` and proprioception groups to (T, n) float64.
        stamps_ns: times of the steps (T,) int64 [ns]; empty if the file has none.
        prompt_index: (T,).
        policy_drives: at which steps a policy's actions were executed (T,).
        valid: for each camera and stream of which steps may be marked: where it is within its tolerance (T,).
        cameras: role to where its images lie.
    """

    path: Path
    state: FileState
    embodiment: Embodiment | None
    sim: bool | None
    prompts: tuple[str, ...]
    vectors: Mapping[str, NDArray[np.float64]]
    stamps_ns: NDArray[np.int64]
    prompt_index: NDArray[np.int64]
    policy_drives: NDArray[np.bool_]
    valid: Mapping[str, NDArray[np.bool_]]
    cameras: Mapping[str, ImagePlaces]

    def __len__(self) -> int:
        return len(self.vectors[schema.ACTION])


def index_episode(path: Path) -> IndexedEpisode:
    """Reads the numbers of an episode of ours, or of ALOHA or ACT, and looks up where its images lie.

    Raises:
        EpisodeError: there is no such file, it is truncated, is being recorded or is no episode; or a number is not finite.
    """
    state = FileState.of(path)
    with _opened(path) as file, hdf5.reported(path, "read the file"):
        read = _ours if schema.VLA in file else _plain
        episode = read(file, path, state)
    for name, values in episode.vectors.items():
        if not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values))[0, 0])
            raise EpisodeError(f"{path}: {name}: expected finite numbers, found {values[row]} at step {row}")
    lengths = {name: len(values) for name, values in episode.vectors.items()}
    lengths |= {role: len(places.offsets) for role, places in episode.cameras.items()}
    if set(lengths.values()) != {len(episode)}:
        raise EpisodeError(f"{path}: expected as many steps of everything, found {lengths}")
    return episode


def _ours(file: Any, path: Path, state: FileState) -> IndexedEpisode:
    with EpisodeReader(path) as reader:
        embodiment = reader.info.metadata.embodiment
        return IndexedEpisode(
            path=path,
            state=state,
            embodiment=embodiment,
            sim=_sim(file),
            prompts=reader.info.prompts,
            vectors={
                schema.ACTION: reader.actions,
                **{group: reader.proprioception(group) for group in embodiment.proprioception},
            },
            stamps_ns=reader.stamps_ns,
            prompt_index=file[schema.PROMPT_INDEX][:].astype(np.int64),
            policy_drives=reader.policy_drives,
            valid={name: reader.valid(name) for name in marked_sources_of(embodiment)},
            cameras=_cameras(file, tuple(embodiment.cameras), path, state),
        )


def _plain(file: Any, path: Path, state: FileState) -> IndexedEpisode:
    if schema.ACTION not in file or schema.proprioception("qpos") not in file:
        raise EpisodeError(
            f"{path}: expected an episode ('{schema.SCHEMA_VERSION}', or ALOHA's with /action and "
            f"/observations/qpos), found {json.dumps(sorted(file))}"
        )
    names = {schema.ACTION: schema.ACTION, **{group: schema.proprioception(group) for group in _GROUPS}}
    vectors = {name: np.asarray(file[where][:], np.float64) for name, where in names.items() if where in file}
    for name, values in vectors.items():
        if values.ndim != 2 or not len(values):
            raise EpisodeError(f"{path}: {name}: expected numbers (T, n), found {values.shape}")
    steps = len(vectors[schema.ACTION])
    return IndexedEpisode(
        path=path,
        state=state,
        embodiment=None,
        sim=_sim(file),
        prompts=("",),
        vectors=vectors,
        stamps_ns=np.zeros(0, np.int64),
        prompt_index=np.zeros(steps, np.int64),
        policy_drives=np.zeros(steps, bool),
        valid={},
        cameras=_cameras(file, tuple(file.get(_IMAGES, ())), path, state),
    )


def _cameras(file: Any, roles: tuple[str, ...], path: Path, state: FileState) -> dict[str, ImagePlaces]:
    return {
        role: locate_images(file.get(schema.image(role)), state.size, f"{path}: {schema.image(role)}") for role in roles
    }


def _sim(file: Any) -> bool | None:
    found = file.attrs.get(schema.RootAttribute.SIM)
    return None if found is None else bool(found)


def _opened(path: Path) -> Any:
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise EpisodeError(
            f"{path}: expected a whole HDF5 file that nobody is writing: {hdf5.reason_of(error)}"
        ) from error
