"""Where an episode's images lie in its file, so that they can be read without HDF5: each is one piece of the file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from vla_core.encoded import encoded_image
from vla_core.episodes.deflate import inflated, unpadded
from vla_core.errors import EpisodeError, ImageError
from vla_core.images import decode_compressed_image

_DEFLATE = (h5py.h5z.FILTER_DEFLATE,)
_READABLE = ((), _DEFLATE, (h5py.h5z.FILTER_SHUFFLE, *_DEFLATE))  # to shuffle single bytes changes nothing


@dataclass(frozen=True, eq=False)
class ImagePlaces:
    """The images of one camera (T, H, W, 3) uint8 RGB, each as a piece of the file.

    Attributes:
        kind: what a piece is when it is inflated: pixels, or a JPEG file with zeros behind.
        height: [pixels].
        width: [pixels].
        room: size of a piece when it is inflated [B].
        offsets: of the pieces (T,) int64, from the beginning of the file [B].
        sizes: of the pieces (T,) int64 [B].
        deflated: which of them are compressed by HDF5's deflate filter (T,).
    """

    kind: Literal["pixels", "jpeg"]
    height: int
    width: int
    room: int
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]
    deflated: NDArray[np.bool_]


def image_of(
    kind: str, height: int, width: int, room: int, piece: NDArray[np.uint8], deflated: bool
) -> NDArray[np.uint8]:
    """The image of a piece of the file (H, W, 3) uint8 RGB; a view on the piece if those are the pixels.

    Raises:
        EpisodeError: what lies there is no such image.
    """
    try:
        if kind == "jpeg":
            data = unpadded(piece.data, room) if deflated else piece.data
            pixels = np.asarray(decode_compressed_image(data), dtype=np.uint8)
        else:
            pixels = np.frombuffer(inflated(piece), np.uint8) if deflated else piece
            pixels = pixels.reshape(height, width, 3)
    except (ImageError, ValueError) as error:
        raise EpisodeError(str(error)) from error
    if pixels.shape != (height, width, 3):
        raise EpisodeError(f"expected an image of {width}x{height} pixels, found {pixels.shape[1]}x{pixels.shape[0]}")
    return pixels


def locate_images(dataset: Any, file_size: int, where: str) -> ImagePlaces:
    """Looks up where each image of a dataset lies.

    Args:
        dataset: (T, H, W, 3) uint8, or (T, bytes) uint8 of JPEG files; of h5py.
        file_size: [B].
        where: names file and dataset in errors.

    Raises:
        EpisodeError: it is no such dataset, its images are not in one piece each, a filter other than deflate was applied, or
            the file ends before an image does.
    """
    if not isinstance(dataset, h5py.Dataset):
        raise EpisodeError(f"{where}: missing")
    is_jpeg = dataset.ndim == 2
    if dataset.dtype != np.uint8 or not (is_jpeg or (dataset.ndim == 4 and dataset.shape[3] == 3)) or not len(dataset):
        raise EpisodeError(
            f"{where}: expected images uint8 (T, H, W, 3) or JPEG files uint8 (T, bytes), "
            f"found {dataset.dtype} {dataset.shape}"
        )
    offsets, sizes, deflated = _pieces(dataset, where)
    short = np.flatnonzero((sizes <= 0) | (offsets + sizes > file_size))
    if len(short):
        raise EpisodeError(f"{where}: expected {len(dataset)} images, found none whole at step {short[0]}")
    if not is_jpeg:
        height, width = dataset.shape[1:3]
        room = math.prod(dataset.shape[1:])
        if (sizes[~deflated] != room).any():
            raise EpisodeError(f"{where}: expected images of {room} bytes, found {sizes[~deflated].tolist()}")
        return ImagePlaces("pixels", height, width, room, offsets, sizes, deflated)
    try:
        first = encoded_image(dataset[0].tobytes().rstrip(b"\0"))
    except ImageError as error:
        raise EpisodeError(f"{where}, step 0: {error}") from error
    room = dataset.shape[1] if dataset.chunks is None else dataset.chunks[1]
    return ImagePlaces("jpeg", first.height, first.width, room, offsets, sizes, deflated)


def _pieces(dataset: Any, where: str) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Offset, size, and whether it is compressed, of each row of a dataset."""
    steps, row = len(dataset), dataset.shape[1:]
    if dataset.file.userblock_size:
        raise EpisodeError(f"{where}: expected a file without a user block, found {dataset.file.userblock_size} bytes")
    if dataset.chunks is None:
        start = dataset.id.get_offset()
        if start is None:
            raise EpisodeError(f"{where}: expected images in this file, found none")
        size = math.prod(row)
        return start + size * np.arange(steps), np.full(steps, size), np.zeros(steps, bool)
    is_one_each = dataset.chunks[0] == 1 and all(a >= b for a, b in zip(dataset.chunks[1:], row, strict=True))
    creation = dataset.id.get_create_plist()
    filters = tuple(creation.get_filter(number)[0] for number in range(creation.get_nfilters()))
    if not is_one_each or filters not in _READABLE:
        raise EpisodeError(
            f"{where}: expected one image in each chunk, uncompressed or with the filter deflate, found chunks of "
            f"{dataset.chunks} with the filters {list(filters)}; './vla episodes convert' makes such episodes"
        )
    offsets, sizes, deflated = np.zeros(steps, np.int64), np.zeros(steps, np.int64), np.zeros(steps, bool)

    def note(chunk: Any) -> None:
        index = chunk.chunk_offset[0]
        offsets[index], sizes[index] = chunk.byte_offset, chunk.size
        deflated[index] = bool(filters) and not chunk.filter_mask & 1 << (len(filters) - 1)

    dataset.id.chunk_iter(note)
    return offsets, sizes, deflated
