"""Whether a file keeps every rule of docs/episode-format.md: each deviation is named, however many there are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from vla_core.embodiment import Embodiment
from vla_core.embodiment.loading import embodiment_from_mapping
from vla_core.episodes import SCHEMA_VERSION, EpisodeReader, schema
from vla_core.episodes.layout import DatasetSpec, all_jpeg, datasets_of
from vla_core.episodes.metadata import OUTCOMES, ROBOTS
from vla_core.episodes.schema import Attribute, RootAttribute
from vla_core.errors import ConfigError, EpisodeError, ImageError, choice
from vla_recorder.formats.conversion import Progress, Silent
from vla_recorder.formats.validate_rows import row_deviations
from vla_recorder.formats.validate_values import value_deviations

_UNKNOWN = "unknown"  # of an episode that was recovered
_MOST = 5  # rows of one kind that are named

_TEXTS = (
    Attribute.PROMPT,
    Attribute.PROMPTS,
    Attribute.TASK,
    Attribute.OUTCOME,
    Attribute.ROBOT,
    Attribute.EMBODIMENT,
    Attribute.CREATED,
    Attribute.RECORDER,
    Attribute.STREAMS,
)
_NUMBERS = (Attribute.STEPS, Attribute.STEP_RATE_HZ, Attribute.DROPPED_STEPS, Attribute.DROPPED_BESIDE)


def deviations(path: Path, progress: Progress | None = None) -> list[str]:
    """Everything in which a file deviates from the format; empty if it is an episode without fault.

    Every image is decoded, so that a file is read once as a whole.
    """
    try:
        with h5py.File(path, "r") as file:
            found = [*_of_root(file), *_of_attributes(file)]
            embodiment = _embodiment(file)
            if embodiment is None or Attribute.STEPS not in file[schema.VLA].attrs:
                return found or [f"{path.name}: cannot be read"]
            steps = int(file[schema.VLA].attrs[Attribute.STEPS])
            found += [*_of_datasets(file, embodiment, steps), *_unknown(file, embodiment)]
            if not found:
                found = [*value_deviations(file, embodiment)]
    except OSError as error:
        kind = (
            "nothing"
            if not path.exists()
            else "a folder"
            if path.is_dir()
            else f"something else ({_first_line(error)})"
        )
        return [f"expected a whole HDF5 file, found {kind}"]
    if found:
        return found
    return [*_as_read(path, progress or Silent())]


def _of_root(file: h5py.File) -> Iterator[str]:
    for name in (RootAttribute.SIM, RootAttribute.COMPRESS):
        if name not in file.attrs:
            yield f"attribute /{name}: missing"
    if not file.attrs.get(RootAttribute.SIM, True):
        yield f"attribute /{RootAttribute.SIM}: expected true, found false: ACT's loader would take actions one step earlier"
    if schema.VLA not in file:
        yield f"group /{schema.VLA}: missing"


def _of_attributes(file: h5py.File) -> Iterator[str]:
    if schema.VLA not in file:
        return
    known: Mapping[str, Any] = dict(file[schema.VLA].attrs)
    if known.get(Attribute.SCHEMA) != SCHEMA_VERSION:
        yield _expected(Attribute.SCHEMA, f"'{SCHEMA_VERSION}'", known.get(Attribute.SCHEMA))
    if not known.get(Attribute.COMPLETE, False):
        yield f"attribute {_at(Attribute.COMPLETE)}: expected true, found false: the recording was not finished"
    for name in _TEXTS:
        if not isinstance(known.get(name), str):
            yield _expected(name, "a text", known.get(name))
    for name in _NUMBERS:
        if not isinstance(known.get(name), (int, float, np.number)):
            yield _expected(name, "a number", known.get(name))
    outcomes = tuple(dict.fromkeys((*OUTCOMES, _UNKNOWN)))
    if isinstance(known.get(Attribute.OUTCOME), str) and known[Attribute.OUTCOME] not in outcomes:
        yield _expected(Attribute.OUTCOME, choice(outcomes), known[Attribute.OUTCOME])
    if isinstance(known.get(Attribute.ROBOT), str) and known[Attribute.ROBOT] not in ROBOTS:
        yield _expected(Attribute.ROBOT, choice(ROBOTS), known[Attribute.ROBOT])
    yield from _parsed(known, Attribute.CREATED, "a time as ISO 8601", datetime.fromisoformat)
    yield from _parsed(known, Attribute.STREAMS, "JSON", json.loads)
    yield from _parsed(
        known, Attribute.PROMPTS, "a JSON list of texts, the prompt first", partial(_check_prompts, known)
    )
    yield from _parsed(known, Attribute.EMBODIMENT, "an embodiment", _parse_embodiment)


def _parsed(known: Mapping[str, Any], name: str, expected: str, parse: Callable[[str], Any]) -> Iterator[str]:
    text = known.get(name)
    if not isinstance(text, str):
        return
    try:
        parse(text)
    except (ValueError, ConfigError) as error:
        yield f"attribute {_at(name)}: expected {expected}: {error}"


def _of_datasets(file: h5py.File, embodiment: Embodiment, steps: int) -> Iterator[str]:
    """Datasets that are missing, or of another type or shape, or without their attributes."""
    compressed = all_jpeg(embodiment)
    if bool(file.attrs.get(RootAttribute.COMPRESS, compressed)) != compressed:
        yield f"attribute /{RootAttribute.COMPRESS}: expected {compressed}, found {not compressed}"
    for spec in datasets_of(embodiment):
        dataset = file.get(spec.path)
        if not isinstance(dataset, h5py.Dataset):
            yield f"/{spec.path}: missing"
            continue
        shape = spec.shape(steps)
        if dataset.dtype != spec.dtype or not _fits(dataset.shape, spec, steps):
            yield f"/{spec.path}: expected {spec.dtype} of shape {shape}, found {dataset.dtype} of shape {dataset.shape}"
        elif spec.is_image and dataset.id.get_num_chunks() != steps:
            yield f"/{spec.path}: expected {steps} images, found {dataset.id.get_num_chunks()}"
        for name, value in spec.attributes.items():
            if dataset.attrs.get(name) != value:
                yield f"/{spec.path}: attribute '{name}': expected {value!r}, found {dataset.attrs.get(name)!r}"


def _fits(found: tuple[int, ...], spec: DatasetSpec, steps: int) -> bool:
    """JPEG files take as many columns as the longest needs."""
    if spec.storage == "jpeg":
        return len(found) == 2 and found[0] == steps and 0 < found[1] <= spec.size
    return found == spec.shape(steps)


def _unknown(file: h5py.File, embodiment: Embodiment) -> Iterator[str]:
    """Datasets that the format does not know."""
    known = {spec.path for spec in datasets_of(embodiment)}
    beside = (f"{schema.VLA}/native/", f"{schema.VLA}/rollout/")
    names: list[str] = []
    file.visititems(lambda name, entry: names.append(name) if isinstance(entry, h5py.Dataset) else None)
    for name in names:
        if name not in known and not name.startswith(beside):
            yield f"/{name}: expected no such dataset"


def _as_read(path: Path, progress: Progress) -> Iterator[str]:
    """What only shows when the file is read as an episode."""
    try:
        with EpisodeReader(path) as episode:
            yield from row_deviations(episode)
            progress.begin(path.name, len(episode))
            broken: dict[str, list[str]] = {}
            reads = _image_reads(episode)
            for index in range(len(episode)):
                for place, read in reads.items():
                    try:
                        read(index)
                    except (EpisodeError, ImageError) as error:
                        broken.setdefault(place, []).append(f"step {index}: {error}")
                progress.advance()
            for place, lines in broken.items():
                yield from (f"/{place}: {line}" for line in lines[:_MOST])
                if len(lines) > _MOST:
                    yield f"/{place}: {len(lines) - _MOST} more images that cannot be read"
    except EpisodeError as error:
        yield from (line.removeprefix(f"{path}: ") for line in str(error).splitlines())


def _image_reads(episode: EpisodeReader) -> Mapping[str, Callable[[int], Any]]:
    """Dataset of images to what reads that of a step."""
    embodiment = episode.info.metadata.embodiment
    cameras = {schema.image(role): partial(episode.image, role) for role in embodiment.cameras}
    depths = {schema.depth(role): partial(episode.depth, role) for role in embodiment.depth_cameras}
    return {**cameras, **depths}


def _embodiment(file: h5py.File) -> Embodiment | None:
    text = file[schema.VLA].attrs.get(Attribute.EMBODIMENT) if schema.VLA in file else None
    try:
        return _parse_embodiment(text) if isinstance(text, str) else None
    except (ValueError, ConfigError):
        return None


def _parse_embodiment(text: str) -> Embodiment:
    return embodiment_from_mapping(json.loads(text), "embodiment")


def _check_prompts(known: Mapping[str, Any], text: str) -> None:
    prompts = json.loads(text)
    if not isinstance(prompts, list) or not prompts or prompts[0] != known.get(Attribute.PROMPT):
        raise ValueError(f"found {text}")


def _expected(name: str, expected: str, found: Any) -> str:
    return f"attribute {_at(name)}: expected {expected}, found {'none' if found is None else repr(found)}"


def _at(name: str) -> str:
    return f"/{schema.VLA} '{name}'"


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
