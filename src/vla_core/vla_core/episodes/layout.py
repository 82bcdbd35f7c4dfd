"""Which datasets an embodiment's episodes have."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from vla_core.embodiment.schema import Camera, DepthCamera, Embodiment
from vla_core.episodes import schema
from vla_core.episodes.schema import DatasetAttribute, RolloutDataset

Storage = Literal["numbers", "raw", "lossless", "jpeg"]

_DEPTH_DTYPES = {"16UC1": "uint16", "32FC1": "float32"}
_FINEST_USUAL = 95  # JPEG quality


ROLLOUT_DTYPES = {
    RolloutDataset.OBSERVATION_NS: "int64",
    RolloutDataset.START_NS: "int64",
    RolloutDataset.STEP_NS: "int64",
    RolloutDataset.RECEIVE_NS: "int64",
    RolloutDataset.LATENCY_NS: "int64",
    RolloutDataset.SEQUENCE: "uint32",
    RolloutDataset.SHADOW: "uint8",
    RolloutDataset.HORIZON: "uint32",
    RolloutDataset.POLICY_INDEX: "uint32",
    RolloutDataset.STRATEGY_INDEX: "uint32",
}
"""the datasets of a rollout but for its actions"""


@dataclass(frozen=True)
class DatasetSpec:
    """A dataset with one row for each step.

    Attributes:
        path: from the root of the file.
        row_shape: shape of one row; the dataset is ``(T, *row_shape)``. JPEG files have a dataset that is only as wide as the
            longest of them.
        dtype: of the elements.
        attributes: of the dataset.
        storage: ``numbers``, many rows of which are one chunk of the file; or how images are kept, one chunk each.
        transposed: the dataset is ``(n, T)``: a row of the episode is a column of it.
    """

    path: str
    row_shape: tuple[int, ...]
    dtype: str
    attributes: Mapping[str, str | int] = field(default_factory=dict)
    storage: Storage = "numbers"
    transposed: bool = False

    @property
    def is_image(self) -> bool:
        return self.storage != "numbers"

    @property
    def size(self) -> int:
        """Elements in one row."""
        return math.prod(self.row_shape)

    @property
    def row_bytes(self) -> int:
        """Size of one row, before compression [B]."""
        return self.size * np.dtype(self.dtype).itemsize

    def shape(self, rows: int | None) -> tuple[int | None, ...]:
        """Shape with so many rows; None: of any length."""
        return (*self.row_shape, rows) if self.transposed else (rows, *self.row_shape)


def datasets_of(embodiment: Embodiment) -> tuple[DatasetSpec, ...]:
    """All datasets with one row for each step, of an episode of this embodiment.

    ``rows.py`` relies on the order of those of one type.
    """
    return (*_vectors(embodiment), *image_datasets_of(embodiment), *_times(embodiment), *_flags(embodiment))


def image_datasets_of(embodiment: Embodiment) -> tuple[DatasetSpec, ...]:
    """The datasets of the cameras and the depth cameras, in this order."""
    return (
        *(_images(role, camera) for role, camera in embodiment.cameras.items()),
        *(_depth_images(role, camera) for role, camera in embodiment.depth_cameras.items()),
    )


def sources_of(embodiment: Embodiment) -> tuple[str, ...]:
    """Names of everything that a step must have a sample of."""
    return (*embodiment.cameras, *embodiment.depth_cameras, *embodiment.streams)


def marked_sources_of(embodiment: Embodiment) -> tuple[str, ...]:
    """Those of them that a step may have an old, marked sample of."""
    return tuple(name for name, source in embodiment.sources.items() if source.align.on_missing == "mark")


def vector_references_of(embodiment: Embodiment) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Paths of the datasets that hold vectors, and the fields (``stream.field``) that each consists of."""
    groups = [(schema.proprioception(group), fields) for group, fields in embodiment.proprioception.items()]
    beside = [
        (schema.stream(name, schema.VALUE), tuple(f"{name}.{leaf}" for leaf in embodiment.streams[name].fields))
        for name in unreferenced_streams(embodiment)
    ]
    return (*groups, (schema.ACTION, embodiment.action.fields), *beside)


def unreferenced_streams(embodiment: Embodiment) -> tuple[str, ...]:
    """Streams with a field that is neither in the proprioception nor in the action: their whole vector is recorded beside."""
    used = {reference for group in embodiment.proprioception.values() for reference in group} | {
        *embodiment.action.fields
    }
    return tuple(
        name
        for name, stream in embodiment.streams.items()
        if any(f"{name}.{field_name}" not in used for field_name in stream.fields)
    )


def native_streams_of(embodiment: Embodiment) -> tuple[str, ...]:
    """Streams that an episode also keeps at their own rate."""
    return tuple(name for name, stream in embodiment.streams.items() if stream.native)


def all_jpeg(embodiment: Embodiment) -> bool:
    """Whether the file is of ALOHA's compressed variant: every camera's images are JPEG files."""
    return bool(embodiment.cameras) and all(camera.images == "jpeg" for camera in embodiment.cameras.values())


def jpeg_row_bytes(camera: Camera) -> int:
    """Room for a JPEG file of a camera [B].

    Noise of black and white pixels, colours at half the resolution, takes 0.48 of the raw image's size at quality 95 and
    0.77 at 100.
    """
    share = 0.5 if camera.jpeg_quality <= _FINEST_USUAL else 0.8
    return 4096 * math.ceil(1 + share * camera.height * camera.width * 3 / 4096)


def bytes_per_second(embodiment: Embodiment) -> float:
    """What an episode takes of the disk, about [B/s]. Pictures of a real camera: JPEG a sixth, without loss three quarters."""
    shares = {"raw": 1.0, "lossless": 0.75, "jpeg": 1 / 6}
    cameras: dict[str, Camera | DepthCamera] = {**embodiment.cameras, **embodiment.depth_cameras}
    pixel_bytes = {"rgb8": 3, "16UC1": 2, "32FC1": 4}
    images = sum(shares[c.images] * c.height * c.width * pixel_bytes[c.encoding] for c in cameras.values())
    numbers = sum(spec.row_bytes for spec in datasets_of(embodiment) if not spec.is_image)
    native = sum(stream.rate_hz * 8 * (2 + stream.size) for stream in embodiment.streams.values() if stream.native)
    return (images + numbers) * embodiment.steps.rate_hz + native


def _vectors(embodiment: Embodiment) -> Iterator[DatasetSpec]:
    for path, references in vector_references_of(embodiment):
        names, units = embodiment.names_of(references), embodiment.units_of(references)
        attributes = {DatasetAttribute.NAMES: json.dumps(names), DatasetAttribute.UNITS: json.dumps(units)}
        yield DatasetSpec(path, (len(names),), "float64", attributes)


def _images(role: str, camera: Camera) -> DatasetSpec:
    attributes: dict[str, str | int] = {
        DatasetAttribute.COLOR_ORDER: "rgb",
        DatasetAttribute.COMPRESSION: camera.images,
    }
    shape: tuple[int, ...] = (camera.height, camera.width, 3)
    if camera.images == "jpeg":
        attributes[DatasetAttribute.JPEG_QUALITY] = camera.jpeg_quality
        shape = (jpeg_row_bytes(camera),)
    return DatasetSpec(schema.image(role), shape, "uint8", attributes, camera.images)


def _depth_images(role: str, camera: DepthCamera) -> DatasetSpec:
    attributes = {
        DatasetAttribute.UNIT: camera.unit,
        DatasetAttribute.ENCODING: camera.encoding,
        DatasetAttribute.COMPRESSION: camera.images,
    }
    shape = (camera.height, camera.width)
    return DatasetSpec(schema.depth(role), shape, _DEPTH_DTYPES[camera.encoding], attributes, camera.images)


def _times(embodiment: Embodiment) -> Iterator[DatasetSpec]:
    yield DatasetSpec(schema.STAMPS, (), "int64")
    for name in sources_of(embodiment):
        yield DatasetSpec(schema.stream(name, schema.STAMP_NS), (), "int64")
        yield DatasetSpec(schema.stream(name, schema.AGE_NS), (), "int64")


def _flags(embodiment: Embodiment) -> Iterator[DatasetSpec]:
    yield DatasetSpec(schema.MARKERS, (), "uint8")
    yield DatasetSpec(schema.POLICY_DRIVES, (), "uint8")
    for name in marked_sources_of(embodiment):
        yield DatasetSpec(schema.stream(name, schema.VALID), (), "uint8")
    yield DatasetSpec(schema.PROMPT_INDEX, (), "uint32")
    if all_jpeg(embodiment):
        cameras = json.dumps(list(embodiment.cameras))
        attributes = {DatasetAttribute.NAMES: cameras}
        yield DatasetSpec(schema.COMPRESS_LEN, (len(embodiment.cameras),), "float32", attributes, transposed=True)
