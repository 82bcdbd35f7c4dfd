"""Normalisation statistics of demonstrations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vla_core.embodiment import Embodiment
from vla_policies.data import EpisodeDataset
from vla_policies.normalisation import IMAGENET, Normalisation, NormStats
from vla_policies.pipeline import ACTION
from vla_policies.spec import PolicySpec
from vla_policies.transforms import ActionReference

# A dimension that hardly moved must not be blown up to unit variance: its noise would count as much as real motion. ACT
# clips standard deviations at 1e-2, which is meant for radians. In other units it is what about the same motion amounts to:
# 1e-2 rad moves a point at 0.1 m by 1e-3 m.
SMALLEST_STD = {"rad": 1e-2, "m": 1e-3, "rad/s": 1e-2, "m/s": 1e-3, "Nm": 1e-1, "N": 1e-1, "1": 1e-2}

_DIGITS = 9  # more than the data hold, few enough to read


def norm_stats(values: NDArray[np.float64], units: Sequence[str]) -> NormStats:
    """Mean and unbiased standard deviation over rows (N, n), the latter at least ``SMALLEST_STD`` of its unit."""
    std = values.std(axis=0, ddof=1) if len(values) > 1 else np.zeros(values.shape[1])
    smallest = np.array([SMALLEST_STD[unit] for unit in units])
    return NormStats(mean=_rounded(values.mean(axis=0)), std=_rounded(np.maximum(std, smallest)))


def normalisation_of(
    demonstrations: EpisodeDataset, spec: PolicySpec, embodiment: Embodiment
) -> dict[str, Normalisation]:
    """The normalisation of every key of a policy, from all windows. Cameras get ImageNet's constants."""
    keys = dict.fromkeys(spec.cameras, IMAGENET)
    for group in spec.proprioception:
        units = embodiment.units_of(embodiment.proprioception[group])
        keys[group] = Normalisation("act_mean_std", norm_stats(demonstrations.observed(group), units))
    keys[ACTION] = Normalisation(
        "act_mean_std", norm_stats(_targets(demonstrations, spec, embodiment), embodiment.action_units)
    )
    return keys


def _targets(demonstrations: EpisodeDataset, spec: PolicySpec, embodiment: Embodiment) -> NDArray[np.float64]:
    """What the network will be asked to output, without padding (M, A)."""
    horizon = 1 if spec.action_reference == "absolute" else spec.action_horizon
    actions, is_pad = demonstrations.following_actions(np.arange(len(demonstrations)), horizon)
    reference = ActionReference.of(spec, embodiment)
    return reference.to_offsets(actions, demonstrations.observed("qpos"))[~is_pad]


def _rounded(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(f"{value:.{_DIGITS}g}") for value in values)
