"""Images as they are kept in an episode: raw, compressed without loss, or as JPEG files; and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vla_core.embodiment.schema import Embodiment
from vla_core.encoded import EncodedImage, encode_jpeg
from vla_core.episodes.deflate import compressed, inflated, padded, unpadded
from vla_core.episodes.layout import DatasetSpec, image_datasets_of
from vla_core.observation import Sample

_LESS_QUALITY = 5


class ImageChunk(NamedTuple):
    """One image as a chunk of an HDF5 dataset.

    Attributes:
        data: its bytes.
        skipped: the filters of the dataset that were not applied to it: HDF5's filter mask.
        length: size of a JPEG file [B]; else 0.
    """

    data: bytes | NDArray[Any]
    skipped: int = 0
    length: int = 0

    @property
    def size(self) -> int:
        """Of its bytes [B]."""
        return len(self.data) if isinstance(self.data, bytes) else self.data.nbytes


Encoder = Callable[[Sample], ImageChunk]


def encoders_of(embodiment: Embodiment) -> tuple[tuple[str, Encoder], ...]:
    """For each camera and depth camera its name, and what makes chunks of its samples; in the order of their datasets."""
    specs = image_datasets_of(embodiment)
    qualities = [camera.jpeg_quality for camera in embodiment.cameras.values()] + [0] * len(embodiment.depth_cameras)
    names = (*embodiment.cameras, *embodiment.depth_cameras)
    return tuple((name, _encoder(spec, q)) for name, spec, q in zip(names, specs, qualities, strict=True))


def filters_of(spec: DatasetSpec) -> dict[str, Any]:
    """The filters of a dataset, as ``h5py.Group.create_dataset`` takes them."""
    if spec.storage not in ("lossless", "jpeg"):
        return {}
    return {"compression": "gzip", "compression_opts": 1, "shuffle": _is_shuffled(spec)}


def decoded(spec: DatasetSpec, data: bytes, skipped: int) -> NDArray[Any]:
    """The image of a chunk: (H, W, 3) uint8 RGB, or depth (H, W). It is the caller's own.

    Raises:
        ImageError: a JPEG file that cannot be decoded.
        ValueError: compressed data are damaged, or have another size.
    """
    if not skipped and spec.storage == "lossless":
        data = inflated(data)
        if _is_shuffled(spec):
            data = np.ascontiguousarray(np.frombuffer(data, np.uint8).reshape(_item_bytes(spec), -1).T).tobytes()
    return np.frombuffer(bytearray(data), spec.dtype).reshape(spec.row_shape)


def jpeg_file(spec: DatasetSpec, data: bytes, skipped: int) -> bytes:
    """The JPEG file of a chunk. Raises ValueError if it is damaged."""
    return data.rstrip(b"\0") if skipped else unpadded(data, spec.row_bytes)


def _encoder(spec: DatasetSpec, quality: int) -> Encoder:
    if spec.storage == "jpeg":
        return lambda sample: _jpeg_chunk(sample, quality, spec.row_bytes)
    if spec.storage == "lossless":
        return lambda sample: _lossless_chunk(_array(sample, spec), _is_shuffled(spec))
    return lambda sample: ImageChunk(_array(sample, spec))


def _array(sample: Sample, spec: DatasetSpec) -> NDArray[Any]:
    value = sample.value.decode() if isinstance(sample.value, EncodedImage) else sample.value
    return np.ascontiguousarray(value, dtype=spec.dtype)


def _jpeg_chunk(sample: Sample, quality: int, room: int) -> ImageChunk:
    """A JPEG file that came as such stays what it is; one that finds no room is encoded anew, more coarsely if need be."""
    value = sample.value
    if isinstance(value, EncodedImage):
        data = bytes(value.data).rstrip(b"\0") if value.format == "jpeg" else b""
        if 0 < len(data) <= room:
            return ImageChunk(padded(data, room), 0, len(data))
        value = value.decode()
    image = np.ascontiguousarray(value, dtype=np.uint8)
    data = encode_jpeg(image, quality)
    while len(data) > room and quality > _LESS_QUALITY:
        quality -= _LESS_QUALITY
        data = encode_jpeg(image, quality)
    return ImageChunk(padded(data, room), 0, len(data))


def _lossless_chunk(image: NDArray[Any], shuffle: bool) -> ImageChunk:
    """What grows by compression is kept as it is, and both filters are marked as skipped."""
    plain = image.view(np.uint8).reshape(-1)
    if shuffle:
        plain = np.ascontiguousarray(plain.reshape(-1, image.itemsize).T).reshape(-1)
    data = compressed(plain)
    return ImageChunk(data) if len(data) < image.nbytes else ImageChunk(image, skipped=0b11 if shuffle else 0b1)


def _is_shuffled(spec: DatasetSpec) -> bool:
    """Whether HDF5's shuffle filter is used: it brings the upper bytes of larger elements together, which are alike."""
    return spec.storage == "lossless" and _item_bytes(spec) > 1


def _item_bytes(spec: DatasetSpec) -> int:
    return np.dtype(spec.dtype).itemsize
