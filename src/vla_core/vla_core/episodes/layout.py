"""Which datasets an embodiment's episodes have, and the row of each that a step makes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_core.embodiment.schema import Embodiment
from vla_core.episodes import schema
from vla_core.episodes.schema import DatasetAttribute
from vla_core.errors import EpisodeError
from vla_core.observation import Sample, Step
from vla_core.steps import action_from, vector_from

Row = Mapping[str, NDArray[Any]]
"""Path of a dataset to its value in one row."""


@dataclass(frozen=True)
class DatasetSpec:
    """A dataset with one row for each step.

    Attributes:
        path: from the root of the file.
        row_shape: shape of one row; the dataset is ``(T, *row_shape)``.
        dtype: of the elements.
        attributes: of the dataset.
        is_image: one row is one chunk of the file.
    """

    path: str
    row_shape: tuple[int, ...]
    dtype: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    is_image: bool = False

    @property
    def row_bytes(self) -> int:
        """Size of one row [B]."""
        return math.prod(self.row_shape) * np.dtype(self.dtype).itemsize


def datasets_of(embodiment: Embodiment) -> tuple[DatasetSpec, ...]:
    """All datasets of an episode of this embodiment."""
    vectors = [
        _vector(schema.proprioception(group), embodiment.names_of(references), embodiment.units_of(references))
        for group, references in embodiment.proprioception.items()
    ]
    vectors.append(_vector(schema.ACTION, embodiment.action_names, embodiment.action_units))
    images = [
        DatasetSpec(
            path=schema.image(role),
            row_shape=(camera.height, camera.width, 3),
            dtype="uint8",
            attributes={DatasetAttribute.COLOR_ORDER: "rgb"},
            is_image=True,
        )
        for role, camera in embodiment.cameras.items()
    ]
    times = [DatasetSpec(schema.STAMPS, (), "int64"), DatasetSpec(schema.MARKERS, (), "uint8")]
    for name in (*embodiment.cameras, *embodiment.streams):
        times.append(DatasetSpec(schema.stream(name, schema.STAMP_NS), (), "int64"))
        times.append(DatasetSpec(schema.stream(name, schema.AGE_NS), (), "int64"))
    return (*vectors, *images, *times, *_unreferenced(embodiment))


def row_of(step: Step, embodiment: Embodiment) -> Row:
    """Makes the row that a step is in the file.

    Raises:
        EpisodeError: a stream of the embodiment is missing in the step, or an image or vector has another shape or type.
    """
    _check(step, embodiment)
    row: dict[str, NDArray[Any]] = {
        schema.proprioception(group): vector_from(step, embodiment, references)
        for group, references in embodiment.proprioception.items()
    }
    row[schema.ACTION] = action_from(step, embodiment)
    row[schema.STAMPS] = np.array(step.stamp_ns, dtype=np.int64)
    row[schema.MARKERS] = np.array(schema.STEP_MARKER, dtype=np.uint8)
    row.update({schema.image(role): np.ascontiguousarray(step.samples[role].value) for role in embodiment.cameras})
    for name in (*embodiment.cameras, *embodiment.streams):
        row[schema.stream(name, schema.STAMP_NS)] = np.array(step.samples[name].stamp_ns, dtype=np.int64)
        row[schema.stream(name, schema.AGE_NS)] = np.array(step.age_ns(name), dtype=np.int64)
    for name in unreferenced_streams(embodiment):
        row[schema.stream(name, schema.VALUE)] = step.samples[name].value.astype(np.float64)
    return row


def end_row(last: Row, embodiment: Embodiment, later_ns: int) -> Row:
    """The row of an end step: the last images, state and action again, ``later_ns`` after the last step, marker 1.

    The sources' stamps stay what they were, so that their ages grow: nothing newer was seen.
    """
    row = dict(last)
    row[schema.STAMPS] = last[schema.STAMPS] + np.int64(later_ns)
    row[schema.MARKERS] = np.array(schema.END_MARKER, dtype=np.uint8)
    for name in (*embodiment.cameras, *embodiment.streams):
        path = schema.stream(name, schema.AGE_NS)
        row[path] = last[path] + np.int64(later_ns)
    return row


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


def _unreferenced(embodiment: Embodiment) -> Iterator[DatasetSpec]:
    for name in unreferenced_streams(embodiment):
        references = tuple(f"{name}.{field_name}" for field_name in embodiment.streams[name].fields)
        path = schema.stream(name, schema.VALUE)
        yield _vector(path, embodiment.names_of(references), embodiment.units_of(references))


def _vector(path: str, names: tuple[str, ...], units: tuple[str, ...]) -> DatasetSpec:
    attributes = {DatasetAttribute.NAMES: json.dumps(names), DatasetAttribute.UNITS: json.dumps(units)}
    return DatasetSpec(path, (len(names),), "float64", attributes)


def _check(step: Step, embodiment: Embodiment) -> None:
    missing = [name for name in (*embodiment.cameras, *embodiment.streams) if name not in step.samples]
    if missing:
        expected = [*embodiment.cameras, *embodiment.streams]
        raise EpisodeError(f"step at {step.stamp_ns} ns: expected the streams {expected}, missing are {missing}")
    for role, camera in embodiment.cameras.items():
        _require(step, role, step.samples[role], (camera.height, camera.width, 3), "u", "uint8")
    for name, stream in embodiment.streams.items():
        _require(step, name, step.samples[name], (stream.size,), "f", "float64")


def _require(step: Step, name: str, sample: Sample, shape: tuple[int, ...], kind: str, dtype: str) -> None:
    value = sample.value
    fits = value.dtype.kind == kind and value.itemsize <= np.dtype(dtype).itemsize
    if value.shape != shape or not fits:
        raise EpisodeError(
            f"step at {step.stamp_ns} ns: stream '{name}': expected {dtype} of shape {shape}, "
            f"found {value.dtype} of shape {value.shape}"
        )
