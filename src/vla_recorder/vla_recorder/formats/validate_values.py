"""Whether single values of an episode file are such as the format knows: flags, indices, lengths."""

from __future__ import annotations

import json
from collections.abc import Iterator

import h5py
import numpy as np

from vla_core.embodiment import Embodiment
from vla_core.episodes import schema
from vla_core.episodes.layout import all_jpeg, marked_sources_of
from vla_core.episodes.schema import Attribute


def value_deviations(file: h5py.File, embodiment: Embodiment) -> Iterator[str]:
    """Values that mean nothing, in a file whose datasets are all there; the first of each kind, and how many there are."""
    valid = [schema.stream(name, schema.VALID) for name in marked_sources_of(embodiment)]
    for place in (schema.POLICY_DRIVES, *valid):
        values = file[place][()]
        yield from _first_of(place, "0 or 1", values, values > 1)
    indices, prompts = file[schema.PROMPT_INDEX][()], json.loads(file[schema.VLA].attrs[Attribute.PROMPTS])
    yield from _first_of(schema.PROMPT_INDEX, f"an index below {len(prompts)}", indices, indices >= len(prompts))
    if all_jpeg(embodiment):
        yield from _lengths(file, embodiment)


def _lengths(file: h5py.File, embodiment: Embodiment) -> Iterator[str]:
    """``compress_len`` is the length of the JPEG files: other readers take so many bytes."""
    for row, role in zip(file[schema.COMPRESS_LEN][()], embodiment.cameras, strict=True):
        images = file[schema.image(role)]
        lengths = np.array([len(images[index].tobytes().rstrip(b"\0")) for index in range(len(images))])
        wrong = np.flatnonzero(row != lengths)
        expected = f"the length of the file, {lengths[wrong[0]]} B, for '{role}'" if len(wrong) else ""
        yield from _first_of(schema.COMPRESS_LEN, expected, row, row != lengths)


def _first_of(place: str, expected: str, values: np.ndarray, wrong: np.ndarray) -> Iterator[str]:
    steps = np.flatnonzero(wrong)
    if len(steps):
        often = f" and at {len(steps) - 1} others" if len(steps) > 1 else ""
        yield f"/{place}: expected {expected}, found {values[steps[0]]:g} at step {steps[0]}{often}"
