"""Made-up steps, for tests, benchmarks and examples: whoever knows the index of a step knows every number in it."""

from __future__ import annotations

import numpy as np

from vla_core.embodiment.schema import Embodiment
from vla_core.observation import Sample, Step

START_NS = 1_700_000_000_000_000_000


def synthetic_step(embodiment: Embodiment, index: int) -> Step:
    """The step of an index: no two steps, streams or elements hold the same numbers.

    Vectors hold ``index + stream / 16 + element / 256``; pixels count through 0 to 255 from a start that depends on the index
    and the camera. Stamps are those of a camera at the embodiment's rate, and each stream is a little older than the step.
    """
    stamp_ns = START_NS + index * embodiment.step_ns
    samples = {}
    for number, (role, camera) in enumerate(embodiment.cameras.items()):
        pixels = np.arange(camera.height * camera.width * 3, dtype=np.uint32) + index * 7 + number * 101
        image = pixels.astype(np.uint8).reshape(camera.height, camera.width, 3)
        samples[role] = _sample(stamp_ns, number, image)
    for number, (name, stream) in enumerate(embodiment.streams.items(), start=len(embodiment.cameras)):
        samples[name] = _sample(stamp_ns, number, index + number / 16 + np.arange(stream.size) / 256)
    return Step(stamp_ns, samples)


def _sample(stamp_ns: int, number: int, value: np.ndarray) -> Sample:
    return Sample(stamp_ns - 1_000 * number, stamp_ns + 500_000, value)
