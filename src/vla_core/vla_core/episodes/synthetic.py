"""Made-up steps, for tests, benchmarks and examples: whoever knows the index of a step knows every number in it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_core.embodiment.schema import Embodiment
from vla_core.episodes import schema
from vla_core.observation import Sample, Step
from vla_core.steps import action_from, vector_from

START_NS = 1_700_000_000_000_000_000


def synthetic_step(embodiment: Embodiment, index: int) -> Step:
    """The step of an index: no two steps, streams or elements hold the same numbers.

    Vectors hold ``index + stream / 16 + element / 256``; pixels count through 0 to 255 from a start that depends on the index
    and the camera, distances through 0 to 4999. Stamps are those of a camera at the embodiment's rate, and each stream is a
    little older than the step.
    """
    stamp_ns = START_NS + index * embodiment.step_ns
    samples = {}
    for number, (role, camera) in enumerate(embodiment.cameras.items()):
        pixels = np.arange(camera.height * camera.width * 3, dtype=np.uint32) + index * 7 + number * 101
        image = pixels.astype(np.uint8).reshape(camera.height, camera.width, 3)
        samples[role] = _sample(stamp_ns, number, image)
    for number, (name, stream) in enumerate(embodiment.streams.items(), start=len(samples)):
        samples[name] = _sample(stamp_ns, number, index + number / 16 + np.arange(stream.size) / 256)
    for number, (role, depth) in enumerate(embodiment.depth_cameras.items(), start=len(samples)):
        distances = np.arange(depth.height * depth.width, dtype=np.uint32) % 5000 + index * 7 + number
        values = distances.astype(np.uint16 if depth.encoding == "16UC1" else np.float32)
        samples[role] = _sample(stamp_ns, number, values.reshape(depth.height, depth.width))
    return Step(stamp_ns, samples)


def synthetic_numbers(embodiment: Embodiment, steps: int) -> dict[str, NDArray[Any]]:
    """What an episode of the first steps holds in its datasets of numbers: path to values (steps, ...).

    Left out are prompts, sizes of JPEG files, and what is only there for some embodiments.
    """
    made = [synthetic_step(embodiment, index) for index in range(steps)]
    columns: dict[str, list[Any]] = {
        schema.STAMPS: [step.stamp_ns for step in made],
        schema.MARKERS: [schema.STEP_MARKER] * steps,
        schema.ACTION: [action_from(step, embodiment) for step in made],
    }
    for group, references in embodiment.proprioception.items():
        columns[schema.proprioception(group)] = [vector_from(step, embodiment, references) for step in made]
    for name in (*embodiment.cameras, *embodiment.depth_cameras, *embodiment.streams):
        columns[schema.stream(name, schema.STAMP_NS)] = [step.samples[name].stamp_ns for step in made]
        columns[schema.stream(name, schema.AGE_NS)] = [step.age_ns(name) for step in made]
    return {path: np.array(column) for path, column in columns.items()}


def _sample(stamp_ns: int, number: int, value: NDArray[Any]) -> Sample:
    return Sample(stamp_ns - 1_000 * number, stamp_ns + 500_000, value)
