"""Normalisation statistics of demonstrations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vla_core.embodiment import Embodiment
from vla_policies.data import EpisodeDataset
from vla_policies.normalisation import IMAGENET, SCHEMES, Normalisation, NormStats, SchemeName
from vla_policies.pipeline import ACTION
from vla_policies.spec import PolicySpec
from vla_policies.transforms import ActionReference

# A dimension that hardly moved must not be blown up to unit variance: its noise would count as much as real motion. ACT
# clips standard deviations at 1e-2, which is meant for radians. In other units it is what about the same motion amounts to:
# 1e-2 rad moves a point at 0.1 m by 1e-3 m.
SMALLEST_STD = {"rad": 1e-2, "m": 1e-3, "rad/s": 1e-2, "m/s": 1e-3, "Nm": 1e-1, "N": 1e-1, "1": 1e-2}

_DIGITS = 9  # more than the data hold, few enough to read


def scheme_stats(values: NDArray[np.float64], units: Sequence[str], scheme: SchemeName) -> NormStats:
    """The statistics of rows (N, n) that a scheme needs. Ranges are at least four times ``SMALLEST_STD`` wide."""
    needs = SCHEMES[scheme].needs
    smallest = 2.0 * np.array([SMALLEST_STD[unit] for unit in units])

    def ends(low: NDArray[np.float64], high: NDArray[np.float64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
        middle, half = (low + high) / 2.0, np.maximum((high - low) / 2.0, smallest)
        return _rounded(middle - half), _rounded(middle + half)

    stats = norm_stats(values, units) if "mean" in needs else None
    low, high = ends(values.min(axis=0), values.max(axis=0)) if "min" in needs else ((), ())
    q01, q99 = ends(_quantile(values, 1), _quantile(values, 99)) if "q01" in needs else ((), ())
    return NormStats(
        mean=stats.mean if stats else (), std=stats.std if stats else (), min=low, max=high, q01=q01, q99=q99
    )


def norm_stats(values: NDArray[np.float64], units: Sequence[str]) -> NormStats:
    """Mean and unbiased standard deviation over rows (N, n), the latter at least ``SMALLEST_STD`` of its unit."""
    std = values.std(axis=0, ddof=1) if len(values) > 1 else np.zeros(values.shape[1])
    smallest = np.array([SMALLEST_STD[unit] for unit in units])
    return NormStats(mean=_rounded(values.mean(axis=0)), std=_rounded(np.maximum(std, smallest)))


def normalisation_of(
    demonstrations: EpisodeDataset,
    spec: PolicySpec,
    embodiment: Embodiment,
    state_scheme: SchemeName = "act_mean_std",
    action_scheme: SchemeName = "act_mean_std",
) -> dict[str, Normalisation]:
    """The normalisation of every key of a policy, from all windows. Cameras get ImageNet's constants."""
    keys = dict.fromkeys(spec.cameras, IMAGENET)
    for group in spec.proprioception:
        units = embodiment.units_of(embodiment.proprioception[group])
        keys[group] = _normalisation(state_scheme, demonstrations.observed(group), units)
    targets = _targets(demonstrations, spec, embodiment)
    keys[ACTION] = _normalisation(action_scheme, targets, embodiment.action_units)
    return keys


def _normalisation(scheme: SchemeName, values: NDArray[np.float64], units: Sequence[str]) -> Normalisation:
    return Normalisation(scheme, scheme_stats(values, units, scheme) if SCHEMES[scheme].needs else None)


def _quantile(values: NDArray[np.float64], percent: float) -> NDArray[np.float64]:
    return np.asarray(np.percentile(values, percent, axis=0))


def _targets(demonstrations: EpisodeDataset, spec: PolicySpec, embodiment: Embodiment) -> NDArray[np.float64]:
    """What the network will be asked to output, without padding (M, A)."""
    horizon = 1 if spec.action_reference == "absolute" else spec.action_horizon
    actions, is_pad = demonstrations.following_actions(np.arange(len(demonstrations)), horizon)
    reference = ActionReference.of(spec, embodiment)
    return reference.to_offsets(actions, demonstrations.observed("qpos"))[~is_pad]


def _rounded(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(f"{value:.{_DIGITS}g}") for value in values)
