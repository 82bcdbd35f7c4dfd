"""What a policy sees at one time, and the recorded row that holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from vla_core.encoded import EncodedImage


@dataclass(frozen=True, eq=False)
class Sample:
    """One value of a stream.

    Attributes:
        stamp_ns: source time of the value: the header stamp, or the arrival time of a stream without stamps [ns].
        receive_ns: when it arrived, on the clock of the receiving process [ns].
        value: an image (H, W, 3) uint8 in RGB order, or a JPEG or PNG file of one; a depth image (H, W) uint16 or float32;
            or a vector (n,) float64 in the units of the stream's fields.
    """

    stamp_ns: int
    receive_ns: int
    value: NDArray[np.generic] | EncodedImage


@dataclass(frozen=True, eq=False)
class Step:
    """All streams of an embodiment at one time: one row of an episode.

    Attributes:
        stamp_ns: the time of the row, on the clock of the header stamps [ns].
        samples: for each stream the sample chosen or interpolated for that time. An interpolated sample carries the
            stamp of the older of its two sources. A stream out of its tolerance is absent: nothing is invented.
        marked: streams whose sample is out of its tolerance, but kept because the embodiment says ``on_missing: mark``: it is
            the stream's last true one before the row, however old.
        policy_drives: whether a policy's actions were executed at that time; false in a demonstration, and in a rollout where a
            human had taken over.
    """

    stamp_ns: int
    samples: Mapping[str, Sample]
    marked: frozenset[str] = frozenset()
    policy_drives: bool = False

    def age_ns(self, stream: str) -> int:
        """How much older than the row the stream's value is [ns]; negative if the value is younger (method nearest)."""
        return self.stamp_ns - self.samples[stream].stamp_ns


@dataclass(frozen=True, eq=False)
class Observation:
    """Everything that a policy may see at one time.

    Attributes:
        stamp_ns: the time of the observation, on the clock of the header stamps [ns].
        images: camera role to image (H, W, 3) uint8, RGB.
        proprioception: group of the embodiment (``qpos``, ``qvel``, ``effort``) to vector (n,) float64
            [rad | m | rad/s | m/s | Nm | N, as the embodiment says].
        prompt: the language instruction.
        ages_ns: stream name to ``stamp_ns`` minus source stamp [ns].
    """

    stamp_ns: int
    images: Mapping[str, NDArray[np.uint8]]
    proprioception: Mapping[str, NDArray[np.float64]]
    prompt: str
    ages_ns: Mapping[str, int]
