"""From an aligned step to what a policy sees and what an episode records: the one place where streams become vectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vla_core.embodiment.schema import Embodiment
from vla_core.encoded import EncodedImage
from vla_core.observation import Observation, Sample, Step


def observation_from(step: Step, embodiment: Embodiment, prompt: str) -> Observation:
    """Makes the observation that a policy gets from a step. The step must hold every camera and observed stream.

    Raises:
        ImageError: an image that came compressed cannot be decoded.
    """
    streams = (*embodiment.cameras, *embodiment.observed_streams)
    return Observation(
        stamp_ns=step.stamp_ns,
        images={role: image_from(step.samples[role]) for role in embodiment.cameras},
        proprioception={
            group: vector_from(step, embodiment, references) for group, references in embodiment.proprioception.items()
        },
        prompt=prompt,
        ages_ns={stream: step.age_ns(stream) for stream in streams},
    )


def blank_observation(embodiment: Embodiment, prompt: str = "") -> Observation:
    """An observation of the right shapes that shows nothing: grey images, zeros. For warming a policy up."""
    return Observation(
        stamp_ns=0,
        images={
            role: np.full((camera.height, camera.width, 3), 128, np.uint8)
            for role, camera in embodiment.cameras.items()
        },
        proprioception={
            group: np.zeros(len(embodiment.names_of(references)))
            for group, references in embodiment.proprioception.items()
        },
        prompt=prompt,
        ages_ns={},
    )


def image_from(sample: Sample) -> NDArray[np.uint8]:
    """A camera's image (H, W, 3) uint8 in RGB order, decoded if it came compressed. Raises ImageError."""
    if isinstance(sample.value, EncodedImage):
        return sample.value.decode()
    return sample.value.astype(np.uint8, copy=False)


def numbers_from(sample: Sample) -> NDArray[np.float64]:
    """A stream's vector (n,) float64."""
    assert not isinstance(sample.value, EncodedImage), "a stream of numbers holds no image"
    return sample.value.astype(np.float64, copy=False)


def action_from(step: Step, embodiment: Embodiment) -> NDArray[np.float64]:
    """The action recorded at a step (action_dim,) [units of the embodiment's action space]."""
    return vector_from(step, embodiment, embodiment.action.fields)


def vector_from(step: Step, embodiment: Embodiment, references: tuple[str, ...]) -> NDArray[np.float64]:
    """Concatenates fields (each ``stream.field``) of a step into one vector (n,) float64."""
    parts = []
    for reference in references:
        stream_name, stream, _ = embodiment.field(reference)
        parts.append(numbers_from(step.samples[stream_name])[stream.slice_of(reference.partition(".")[2])])
    return np.concatenate(parts)
