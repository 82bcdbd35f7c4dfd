"""Reading a finished episode."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, cast

import h5py
import numpy as np
from numpy.typing import NDArray

from vla_core.chunk_times import ChunkTimes
from vla_core.embodiment.schema import Camera, DepthCamera
from vla_core.encoded import EncodedImage
from vla_core.episodes import beside_reader, hdf5, schema
from vla_core.episodes.attributes import info_from, require_finished
from vla_core.episodes.beside import CommandState, NativeSamples, Rollout
from vla_core.episodes.layout import (
    DatasetSpec,
    Storage,
    datasets_of,
    marked_sources_of,
    native_streams_of,
    sources_of,
    unreferenced_streams,
)
from vla_core.episodes.metadata import EpisodeInfo
from vla_core.episodes.pixels import decoded, jpeg_file
from vla_core.episodes.tables import LEDGER, STATES, read_table
from vla_core.errors import EpisodeError, ImageError, choice
from vla_core.observation import Observation


class EpisodeReader:
    """A finished episode of T steps, open for reading. Use it with ``with``, or call :meth:`close`.

    Everything is read from the file when it is asked for, and is the caller's own array. Vectors have the order, names and
    units that ``info.metadata.embodiment`` declares.
    """

    def __init__(self, path: Path | str, locked: bool = False) -> None:
        """Opens the file and checks that it is whole.

        Args:
            path: of the file.
            locked: the caller holds the lock on it: it has just been written.

        Raises:
            EpisodeError: there is no such file; it is not HDF5, is truncated or is being written; it has another schema or is not
                finished; or a dataset is missing or has another shape. Says what was expected and what was there.
        """
        self.path = Path(path)
        self._file = _open(self.path, locked)
        try:
            with hdf5.reported(self.path, "read the file"):
                attributes = dict(self._file[schema.VLA].attrs) if schema.VLA in self._file else {}
            require_finished(attributes, str(self.path))
            self.info: EpisodeInfo = info_from(attributes, str(self.path))
            with hdf5.reported(self.path, "read the file"):
                _require_datasets(self._file, self.info, self.path)
        except BaseException:
            self.close()
            raise
        self._embodiment = self.info.metadata.embodiment
        self._images = {spec.path: spec for spec in datasets_of(self._embodiment) if spec.is_image}

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> EpisodeReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        """Number of steps T, end steps included."""
        return self.info.steps

    @property
    def stamps_ns(self) -> NDArray[np.int64]:
        """The times of the steps (T,) [ns]."""
        return cast(NDArray[np.int64], self._rows(schema.STAMPS))

    @property
    def markers(self) -> NDArray[np.uint8]:
        """The end marker (T,): 1 on the end steps, else 0."""
        return cast(NDArray[np.uint8], self._rows(schema.MARKERS))

    @property
    def policy_drives(self) -> NDArray[np.bool_]:
        """At which steps a policy's actions were executed (T,); false in a demonstration, and where a human had taken over."""
        return cast(NDArray[np.bool_], self._rows(schema.POLICY_DRIVES).astype(bool))

    @property
    def actions(self) -> NDArray[np.float64]:
        """The actions (T, action_dim)."""
        return cast(NDArray[np.float64], self._rows(schema.ACTION))

    @property
    def qpos(self) -> NDArray[np.float64]:
        """The proprioception group ``qpos`` (T, n)."""
        return self.proprioception("qpos")

    def proprioception(self, group: str) -> NDArray[np.float64]:
        """A proprioception group (T, n): ``qpos``, ``qvel`` or ``effort``."""
        self._require(group, self._embodiment.proprioception, "proprioception group")
        return cast(NDArray[np.float64], self._rows(schema.proprioception(group)))

    def image(self, role: str, index: int) -> NDArray[np.uint8]:
        """A camera's image at one step (H, W, 3), RGB; decoded if it is kept as a JPEG file."""
        encoded = self.encoded_image(role, index)
        if encoded is None:
            return cast(NDArray[np.uint8], self._pixels(schema.image(role), index))
        try:
            return encoded.decode()
        except ImageError as error:
            raise EpisodeError(f"{self.path}: '{schema.image(role)}', step {index}: {error}") from error

    def images(self, role: str, start: int = 0, stop: int | None = None) -> NDArray[np.uint8]:
        """A camera's images of the steps ``start`` to ``stop`` (without it; default: all) (k, H, W, 3), RGB."""
        self._require(role, self._embodiment.cameras, "camera")
        if self.compression(role) == "raw":
            return cast(NDArray[np.uint8], self._rows(schema.image(role), slice(start, stop)))
        camera = self._embodiment.cameras[role]
        indices = range(*slice(start, stop).indices(len(self)))
        images = np.empty((len(indices), camera.height, camera.width, 3), np.uint8)
        for number, index in enumerate(indices):
            images[number] = self.image(role, index)
        return images

    def encoded_image(self, role: str, index: int) -> EncodedImage | None:
        """A camera's image at one step as the JPEG file as which it is kept; None if it is kept otherwise."""
        self._require(role, self._embodiment.cameras, "camera")
        self._require_index(index)
        if self.compression(role) != "jpeg":
            return None
        camera = self._embodiment.cameras[role]
        with hdf5.reported(self.path, f"read '{schema.image(role)}', step {index}"):
            data = jpeg_file(self._images[schema.image(role)], *self._chunk(schema.image(role), index))
        return EncodedImage(data, "jpeg", camera.height, camera.width)

    def depth(self, role: str, index: int) -> NDArray[Any]:
        """A depth camera's image at one step (H, W), uint16 or float32 in the unit that the embodiment says."""
        self._require(role, self._embodiment.depth_cameras, "depth camera")
        self._require_index(index)
        return self._pixels(schema.depth(role), index)

    def compression(self, role: str) -> Storage:
        """How the images of a camera or depth camera are kept: ``raw``, ``jpeg`` or ``lossless``."""
        self._require(role, (*self._embodiment.cameras, *self._embodiment.depth_cameras), "camera")
        cameras: dict[str, Camera | DepthCamera] = {**self._embodiment.cameras, **self._embodiment.depth_cameras}
        return cameras[role].images

    @property
    def prompts(self) -> list[str]:
        """The language instruction at each step."""
        return [self.info.prompts[index] for index in self._rows(schema.PROMPT_INDEX)]

    def valid(self, name: str) -> NDArray[np.bool_]:
        """Whether a camera's or stream's values are within its tolerance (T,).

        Where the embodiment says ``on_missing: mark``, those that are not are the last true ones before the step.
        """
        self._require(name, sources_of(self._embodiment), "camera or stream")
        if name not in marked_sources_of(self._embodiment):
            return np.ones(len(self), dtype=bool)
        return cast(NDArray[np.bool_], self._rows(schema.stream(name, schema.VALID)).astype(bool))

    def native(self, stream: str) -> NativeSamples:
        """The samples of a stream that is also kept at its own rate."""
        self._require(stream, native_streams_of(self._embodiment), "stream that is kept at its own rate")
        with hdf5.reported(self.path, f"read the native samples of '{stream}'"):
            return beside_reader.read_native(self._file, stream)

    @property
    def rollout(self) -> Rollout | None:
        """The chunks of actions that came while it was recorded; None if there were none."""
        with hdf5.reported(self.path, f"read '{schema.ROLLOUT}'"):
            return beside_reader.read_rollout(self._file)

    @property
    def ledger(self) -> tuple[ChunkTimes, ...]:
        """Where the time of each executed chunk went, in the order of their first use; empty if nobody told."""
        with hdf5.reported(self.path, f"read '{LEDGER.group}'"):
            return tuple(read_table(self._file, LEDGER))

    @property
    def states(self) -> tuple[CommandState, ...]:
        """What command_node did, with each change; empty if there was none."""
        with hdf5.reported(self.path, f"read '{STATES.group}'"):
            return tuple(read_table(self._file, STATES))

    def observation(self, index: int) -> Observation:
        """What a policy would have seen at a step."""
        self._require_index(index)
        embodiment = self._embodiment
        return Observation(
            stamp_ns=int(self._rows(schema.STAMPS, index)),
            images={role: self.image(role, index) for role in embodiment.cameras},
            proprioception={
                group: self._rows(schema.proprioception(group), index) for group in embodiment.proprioception
            },
            prompt=self.info.prompts[int(self._rows(schema.PROMPT_INDEX, index))],
            ages_ns={
                name: int(self._rows(schema.stream(name, schema.AGE_NS), index))
                for name in (*embodiment.cameras, *embodiment.observed_streams)
            },
        )

    def stream_stamps_ns(self, name: str) -> NDArray[np.int64]:
        """Source stamps of a camera's or stream's values (T,) [ns]."""
        self._require(name, sources_of(self._embodiment), "camera or stream")
        return cast(NDArray[np.int64], self._rows(schema.stream(name, schema.STAMP_NS)))

    def stream_ages_ns(self, name: str) -> NDArray[np.int64]:
        """Stamp of the step minus source stamp, for a camera or stream (T,) [ns]."""
        self._require(name, sources_of(self._embodiment), "camera or stream")
        return cast(NDArray[np.int64], self._rows(schema.stream(name, schema.AGE_NS)))

    def stream_values(self, name: str) -> NDArray[np.float64]:
        """Values of a stream that is neither wholly in the proprioception nor in the action (T, n)."""
        self._require(name, unreferenced_streams(self._embodiment), "stream that is recorded only beside")
        return cast(NDArray[np.float64], self._rows(schema.stream(name, schema.VALUE)))

    def _rows(self, path: str, rows: int | slice = slice(None)) -> Any:
        with hdf5.reported(self.path, f"read '{path}'"):
            return self._file[path][rows]

    def _pixels(self, path: str, index: int) -> NDArray[Any]:
        spec = self._images[path]
        if spec.storage == "raw":
            return cast(NDArray[Any], self._rows(path, index))
        with hdf5.reported(self.path, f"read '{path}', step {index}"):
            return decoded(spec, *self._chunk(path, index))

    def _chunk(self, path: str, index: int) -> tuple[bytes, int]:
        """An image's chunk as it is in the file, and the filters that were not applied to it."""
        skipped, data = self._file[path].id.read_direct_chunk((index, *(0 for _ in self._images[path].row_shape)))
        return data, skipped

    def _require(self, name: str, known: Any, what: str) -> None:
        if name not in known:
            raise EpisodeError(f"{self.path}: {what}: expected {choice(known)}, found '{name}'")

    def _require_index(self, index: int) -> None:
        if not 0 <= index < len(self):
            raise EpisodeError(f"{self.path}: step: expected 0 to {len(self) - 1}, found {index}")


def _open(path: Path, locked: bool) -> h5py.File:
    if not path.is_file():
        raise EpisodeError(f"{path}: expected an episode file, found {'a folder' if path.is_dir() else 'nothing'}")
    try:
        return h5py.File(path, "r", locking=False if locked else None)
    except OSError as error:
        # whoever writes an episode has locked it; within one process HDF5 itself knows
        if isinstance(error, BlockingIOError) or "locking flag" in str(error):
            raise EpisodeError(f"{path}: expected a finished episode, found one that is being recorded") from error
        raise EpisodeError(f"{path}: expected a whole HDF5 file: {hdf5.reason_of(error)}") from error


def _require_datasets(file: h5py.File, info: EpisodeInfo, path: Path) -> None:
    embodiment = info.metadata.embodiment
    problems = [problem for spec in datasets_of(embodiment) for problem in _problems(file, spec, info.steps)]
    problems += beside_reader.problems_of(file, embodiment)
    if problems:
        raise EpisodeError("\n".join(f"{path}: {problem}" for problem in problems))


def _problems(file: h5py.File, spec: DatasetSpec, steps: int) -> list[str]:
    dataset = file.get(spec.path)
    if not isinstance(dataset, h5py.Dataset):
        return [f"/{spec.path}: missing"]
    shape = spec.shape(steps)
    fits = dataset.shape == shape
    if spec.storage == "jpeg":  # as wide as the longest file
        fits = dataset.ndim == 2 and dataset.shape[0] == steps and dataset.shape[1] <= spec.size
    if not fits or dataset.dtype != spec.dtype:
        return [f"/{spec.path}: expected {spec.dtype} of shape {shape}, found {dataset.dtype} of shape {dataset.shape}"]
    if spec.is_image and dataset.id.get_num_chunks() != steps:  # HDF5 would show a chunk that is not there as black
        return [f"/{spec.path}: expected {steps} images, found {dataset.id.get_num_chunks()}"]
    return []
