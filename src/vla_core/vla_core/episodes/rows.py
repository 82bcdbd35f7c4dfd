"""The numbers of a row, as they lie in memory until they are written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_core.embodiment.schema import Embodiment
from vla_core.encoded import EncodedImage
from vla_core.episodes import schema
from vla_core.episodes.layout import (
    DatasetSpec,
    datasets_of,
    image_datasets_of,
    marked_sources_of,
    sources_of,
    vector_references_of,
)
from vla_core.errors import EpisodeError
from vla_core.observation import Sample, Step

Rows = NDArray[np.void]
"""Rows of a :class:`RowFormat`'s type."""


class RowFormat:
    """All numbers of a row as one record: a vector for each element type, in which every dataset has its place.

    Attributes:
        dtype: of the record.
    """

    def __init__(self, specs: Iterable[DatasetSpec]) -> None:
        sizes: Counter[str] = Counter()
        self._places: dict[str, tuple[str, slice, tuple[int, ...]]] = {}
        for spec in specs:
            if not spec.is_image:
                start = sizes[spec.dtype]
                sizes[spec.dtype] += spec.size
                self._places[spec.path] = (spec.dtype, slice(start, start + spec.size), spec.row_shape)
        fields = sorted(sizes.items(), key=lambda item: -np.dtype(item[0]).itemsize)
        self.dtype = np.dtype([(name, name, (size,)) for name, size in fields], align=True)

    def values(self, rows: Rows, path: str) -> NDArray[Any]:
        """What belongs into a dataset, of some rows (k, *row_shape): a view where it is possible."""
        group, place, shape = self._places[path]
        return rows[group][:, place].reshape(len(rows), *shape)


class RowMaker:
    """Makes the numbers of a row from a step."""

    def __init__(self, embodiment: Embodiment) -> None:
        self.format = RowFormat(datasets_of(embodiment))
        self._sources = sources_of(embodiment)
        self._streams = tuple(embodiment.streams)
        self._marked = marked_sources_of(embodiment)
        self._picked = _picked_elements(embodiment)
        self._expected = _expected_values(embodiment)
        self._flags = 1 + len(self._marked)

    def check(self, step: Step) -> None:
        """Checks that a step is a row of this embodiment's episodes.

        Raises:
            EpisodeError: a stream is missing, or an image or vector has another shape or type.
        """
        missing = [name for name in self._sources if name not in step.samples]
        if missing:
            raise EpisodeError(
                f"step at {step.stamp_ns} ns: expected the streams {list(self._sources)}, missing are {missing}"
            )
        for name, shape, dtype in self._expected:
            _require(step, name, step.samples[name], shape, dtype)

    def fill(self, row: np.void, step: Step, prompt_index: int) -> None:
        """Writes the numbers of a step into a row. The lengths of JPEG files stay what they are."""
        samples = step.samples
        values = np.concatenate([samples[name].value for name in self._streams])
        row["float64"] = values[self._picked]
        times = [step.stamp_ns]
        for name in self._sources:
            stamp_ns = samples[name].stamp_ns
            times += (stamp_ns, step.stamp_ns - stamp_ns)
        row["int64"] = times
        row["uint8"] = [schema.STEP_MARKER, step.policy_drives, *(name not in step.marked for name in self._marked)]
        row["uint32"] = prompt_index

    def set_lengths(self, row: np.void, lengths: Sequence[int]) -> None:
        """Writes the lengths of the JPEG files into a row, where every camera has them."""
        if "float32" in (self.format.dtype.names or ()):
            row["float32"] = lengths[: len(row["float32"])]

    def fill_end(self, row: np.void, last: np.void, later_ns: int) -> None:
        """Makes the row of an end step: the last one again, ``later_ns`` later, marker 1.

        The sources' stamps stay what they were, so that their ages grow: nothing newer was seen.
        """
        for name in self.format.dtype.names or ():
            row[name] = last[name]
        row["int64"][0] += later_ns
        row["int64"][2::2] += later_ns
        row["uint8"][0] = schema.END_MARKER


def stamp_of(row: np.void) -> int:
    """The time of a row [ns]."""
    return int(row["int64"][0])


def _picked_elements(embodiment: Embodiment) -> NDArray[np.intp]:
    """Where the elements of all vectors are, in all streams one after the other."""
    starts, total = {}, 0
    for name, stream in embodiment.streams.items():
        starts[name] = total
        total += stream.size
    picked: list[NDArray[np.intp]] = []
    for _, references in vector_references_of(embodiment):
        for reference in references:
            name, stream, _ = embodiment.field(reference)
            place = stream.slice_of(reference.partition(".")[2])
            picked.append(np.arange(place.start, place.stop, dtype=np.intp) + starts[name])
    return np.concatenate(picked)


def _expected_values(embodiment: Embodiment) -> list[tuple[str, tuple[int, ...], np.dtype[Any]]]:
    images: list[tuple[str, tuple[int, ...], np.dtype[Any]]] = [
        (role, (camera.height, camera.width, 3), np.dtype(np.uint8)) for role, camera in embodiment.cameras.items()
    ]
    depth_specs = image_datasets_of(embodiment)[len(embodiment.cameras) :]
    depths = [
        (role, spec.row_shape, np.dtype(spec.dtype))
        for role, spec in zip(embodiment.depth_cameras, depth_specs, strict=True)
    ]
    vectors = [(name, (stream.size,), np.dtype(np.float64)) for name, stream in embodiment.streams.items()]
    return [*images, *depths, *vectors]


def _require(step: Step, name: str, sample: Sample, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    value = sample.value
    if isinstance(value, EncodedImage):
        fits = len(shape) == 3
    else:
        fits = value.dtype.kind == dtype.kind and value.dtype.itemsize <= dtype.itemsize
    if value.shape != shape or not fits:
        found = f"a {value.format} file" if isinstance(value, EncodedImage) else str(value.dtype)
        raise EpisodeError(
            f"step at {step.stamp_ns} ns: stream '{name}': expected {dtype} of shape {shape}, "
            f"found {found} of shape {value.shape}"
        )
