"""Where the images of a data set come from: memory if they fit, else the files, which are mapped into memory."""

from __future__ import annotations

import mmap
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vla_core.episodes.image_places import ImagePlaces, image_of
from vla_core.episodes.indexed import FileState, IndexedEpisode
from vla_core.errors import EmbodimentMismatch, EpisodeError, choice
from vla_policies.data.buffers import Buffers
from vla_policies.errors import WindowError
from vla_policies.spec import ImageSize
from vla_policies.transforms import resize_image

_OPEN_FILES = 64


class ImageStore(Protocol):
    """Images of all cameras by row, counted over all episodes."""

    @property
    def sizes(self) -> Mapping[str, ImageSize]:
        """Role to the size of the images."""
        ...

    def images(self, rows: NDArray[np.intp]) -> dict[str, NDArray[np.uint8]]:
        """Role to the images at these rows (...), (..., H, W, 3) uint8 RGB; the caller's own."""
        ...


def open_image_store(
    episodes: Sequence[IndexedEpisode],
    cameras: Sequence[str] | Mapping[str, ImageSize] | None,
    memory_limit_bytes: float,
) -> ImageStore:
    """Decodes everything once if it fits into the limit, otherwise reads from the files as needed.

    Raises:
        EpisodeError: an image cannot be read.
        EmbodimentMismatch: images of their own size are wanted, and they have not all the same one.
        WindowError: there is no such camera.
    """
    in_files = MappedImages(episodes, cameras)
    steps = sum(len(episode) for episode in episodes)
    needed = steps * sum(size.width * size.height * 3 for size in in_files.sizes.values())
    return ImagesInMemory(in_files, steps) if needed <= memory_limit_bytes else in_files


class ImagesInMemory:
    """All images, decoded and resized once, as uint8."""

    def __init__(self, source: ImageStore, steps: int) -> None:
        self._sizes = source.sizes
        self._images = {
            role: np.empty((steps, size.height, size.width, 3), np.uint8) for role, size in source.sizes.items()
        }
        for row in range(steps):
            for role, image in source.images(np.array(row)).items():
                self._images[role][row] = image

    @property
    def sizes(self) -> Mapping[str, ImageSize]:
        return self._sizes

    def images(self, rows: NDArray[np.intp]) -> dict[str, NDArray[np.uint8]]:
        return {role: images[rows] for role, images in self._images.items()}


class MappedImages:
    """Images read from the episodes when they are asked for, without HDF5: a raw one is a slice of memory that is the file.

    A few files stay mapped. A copy in another process, forked or pickled, maps them itself.
    """

    def __init__(
        self, episodes: Sequence[IndexedEpisode], cameras: Sequence[str] | Mapping[str, ImageSize] | None
    ) -> None:
        roles = tuple(episodes[0].cameras) if cameras is None else tuple(cameras)
        for role in roles:
            if role not in episodes[0].cameras:
                raise WindowError(
                    f"windows: cameras: expected {choice(episodes[0].cameras)}, found '{role}' ({episodes[0].path})"
                )
        self._sizes = dict(cameras) if isinstance(cameras, Mapping) else _common_sizes(episodes, roles)
        self._files = tuple((episode.path, episode.state) for episode in episodes)
        self._starts = np.cumsum([0, *(len(episode) for episode in episodes)])
        self._tables = {role: _Table([episode.cameras[role] for episode in episodes]) for role in roles}
        self._maps: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()
        self._buffers = Buffers()

    @property
    def sizes(self) -> Mapping[str, ImageSize]:
        return self._sizes

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_maps": OrderedDict()}

    def images(self, rows: NDArray[np.intp]) -> dict[str, NDArray[np.uint8]]:
        flat = np.ravel(rows)
        batches = {
            role: self._buffers.empty((len(flat), size.height, size.width, 3)) for role, size in self._sizes.items()
        }
        episodes = np.searchsorted(self._starts, flat, side="right") - 1
        for place in np.argsort(flat, kind="stable"):  # file by file
            row, episode = int(flat[place]), int(episodes[place])
            memory = self._mapped(episode)
            for role, size in self._sizes.items():
                batches[role][place] = resize_image(self._image(memory, role, episode, row), size)
        return {role: batch.reshape(*np.shape(rows), *batch.shape[1:]) for role, batch in batches.items()}

    def _image(self, memory: NDArray[np.uint8], role: str, episode: int, row: int) -> NDArray[np.uint8]:
        table = self._tables[role]
        offset = table.offsets[row]
        piece = memory[offset : offset + table.sizes[row]]
        try:
            return image_of(*table.fixed[episode], piece, table.deflated[row])
        except EpisodeError as error:
            step = row - self._starts[episode]
            raise EpisodeError(f"{self._files[episode][0]}: camera '{role}', step {step}: {error}") from error

    def _mapped(self, episode: int) -> NDArray[np.uint8]:
        """The bytes of a file; the one that was not used for longest is given back."""
        if episode in self._maps:
            self._maps.move_to_end(episode)
        else:
            self._maps[episode] = _map_file(*self._files[episode])
            if len(self._maps) > _OPEN_FILES:
                self._maps.popitem(last=False)
        return self._maps[episode]


class _Table:
    """Where the images of one camera lie, by row over all episodes; and by episode what all of them share."""

    def __init__(self, places: Sequence[ImagePlaces]) -> None:
        self.offsets = np.concatenate([one.offsets for one in places])
        self.sizes = np.concatenate([one.sizes for one in places])
        self.deflated = np.concatenate([one.deflated for one in places])
        self.fixed = [(one.kind, one.height, one.width, one.room) for one in places]


def _map_file(path: Any, state: FileState) -> NDArray[np.uint8]:
    found = FileState.of(path)
    if found != state:
        raise EpisodeError(f"{path}: expected the file that was indexed ({state}), found another one ({found})")
    try:
        with open(path, "rb") as file:
            return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    except (OSError, ValueError) as error:
        raise EpisodeError(f"{path}: cannot be mapped into memory: {error}") from error


def _common_sizes(episodes: Sequence[IndexedEpisode], roles: Sequence[str]) -> dict[str, ImageSize]:
    sizes = {}
    for role in roles:
        first = episodes[0].cameras[role]
        sizes[role] = ImageSize(first.width, first.height)
        for episode in episodes:
            found = ImageSize(episode.cameras[role].width, episode.cameras[role].height)
            if found != sizes[role]:
                raise EmbodimentMismatch(
                    f"episode {episode.path}: camera '{role}': expected {first.width}x{first.height} as "
                    f"{episodes[0].path}, found {found.width}x{found.height}; ask for one size of all"
                )
    return sizes
