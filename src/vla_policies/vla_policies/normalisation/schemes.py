"""The normalisation schemes of published policies: pairs of functions, forward and inverse, that undo each other.

They do not, and cannot, where a scheme clips, and in a dimension that stood still in the statistics (its range is zero).
The schemes of one kind differ in where they add an epsilon, in what they do with a range of zero, in whether they clip, and
in whether a mask leaves out dimensions. All of that moves a robot, so each has its name::

    scheme               statistics  forward                               epsilon          clips  mask  range of zero
    act_mean_std         mean, std   (x - mean) / std                      none             no     no    refused
    lerobot_mean_std     mean, std   (x - mean) / (std + eps)              1e-8, forward    no     no    times 1e8
    openpi_mean_std      mean, std   (x - mean) / (std + eps)              1e-6, both       no     no    times 1e6
    crossformer_normal   mean, std   (x - mean) / (std + eps)              1e-8, forward    no     yes   times 1e8
    groot_mean_std       mean, std   (x - mean) / std                      none             no     no    left as it is
    lerobot_min_max      min, max    2 (x - low) / (high - low) - 1        none             no     no    taken for 1e-8
    lerobot_quantiles    q01, q99    as lerobot_min_max
    openpi_quantiles     q01, q99    2 (x - low) / (high - low + eps) - 1  1e-6, both       no     no    times 1e6
    oft_bounds           min, max    2 (x - low) / (high - low + eps) - 1  1e-8, both       yes    yes   0 (if max = min)
    oft_bounds_q99       q01, q99    as oft_bounds; wants min and max too
    oft_proprio_bounds   min, max    as oft_bounds                         1e-8, both       all    yes   -1, or clipped
    oft_proprio_bounds_q99  q01, q99  as oft_proprio_bounds
    crossformer_bounds   q01, q99    2 (x - low) / (high - low + eps) - 1  1e-8, forward    yes    yes   -1, or clipped
    groot_min_max        min, max    2 (x - low) / (high - low) - 1        none             no     no    0; back: the minimum
    groot_q99            q01, q99    2 (x - low) / (high - low) - 1        none             all    no    left, then clipped
    groot_binary         min, max    x > 0.5, in both directions; the statistics only say how many dimensions there are
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vla_policies.normalisation.stats import NormStats

Array = NDArray[Any]
Function = Callable[[Array, NormStats], Array]
SchemeName = Literal[
    "identity",
    "act_mean_std",
    "lerobot_mean_std",
    "openpi_mean_std",
    "crossformer_normal",
    "groot_mean_std",
    "lerobot_min_max",
    "lerobot_quantiles",
    "openpi_quantiles",
    "oft_bounds",
    "oft_bounds_q99",
    "oft_proprio_bounds",
    "oft_proprio_bounds_q99",
    "crossformer_bounds",
    "groot_min_max",
    "groot_q99",
    "groot_binary",
    "joined",
]

LEROBOT_EPS = 1e-8
_OPENPI_EPS = 1e-6
_OFT_EPS = 1e-8
_CROSSFORMER_EPS = 1e-8
_BINARY_THRESHOLD = 0.5


class Scheme(NamedTuple):
    """A pair of functions of (values (..., n), statistics).

    Attributes:
        needs: the statistics that it wants.
        forward: values in their units to normalised ones.
        inverse: and back.
        masks: whether ``NormStats.mask`` leaves out dimensions; a scheme that does not is not to be given one.
    """

    needs: tuple[str, ...]
    forward: Function
    inverse: Function
    masks: bool = False


def _mean_std(eps: float) -> Scheme:
    """``(x - mean) / (std + eps)`` and ``y * std + mean``: eps is in the forward direction only, as in LeRobot."""
    return Scheme(
        needs=("mean", "std"),
        forward=lambda x, stats: (x - np.array(stats.mean)) / (np.array(stats.std) + eps),
        inverse=lambda y, stats: y * np.array(stats.std) + np.array(stats.mean),
    )


def _openpi_mean_std() -> Scheme:
    """openpi's: its vectors may be shorter than the statistics, and its padded outputs longer (mean 0, std 1 there)."""

    def forward(x: Array, stats: NormStats) -> Array:
        size = x.shape[-1]
        mean, std = np.array(stats.mean[:size]), np.array(stats.std[:size])
        return np.asarray((x - mean) / (std + _OPENPI_EPS))

    def inverse(y: Array, stats: NormStats) -> Array:
        size = y.shape[-1]
        more = max(0, size - stats.size)
        mean, std = np.array(stats.mean + (0.0,) * more), np.array(stats.std + (1.0,) * more)
        return np.asarray(y * (std[:size] + _OPENPI_EPS) + mean[:size])

    return Scheme(("mean", "std"), forward, inverse)


def _openpi_quantiles() -> Scheme:
    """openpi's: its vectors may be shorter than the statistics; what its padded outputs have more is left as it is."""

    def forward(x: Array, stats: NormStats) -> Array:
        low, width = _range(stats, "q01", "q99")
        size = x.shape[-1]
        return _to_unit(x, low[:size], width[:size] + _OPENPI_EPS)

    def inverse(y: Array, stats: NormStats) -> Array:
        low, width = _range(stats, "q01", "q99")
        size = min(y.shape[-1], stats.size)
        restored = _from_unit(y[..., :size], low[:size], width[:size] + _OPENPI_EPS)
        return np.concatenate([restored, y[..., size:]], axis=-1)

    return Scheme(("q01", "q99"), forward, inverse)


def _lerobot_bounds(low: str, high: str) -> Scheme:
    def bounds(stats: NormStats) -> tuple[Array, Array]:
        lowest, width = _range(stats, low, high)
        return lowest, np.where(width == 0, LEROBOT_EPS, width)

    return Scheme(
        needs=(low, high),
        forward=lambda x, stats: _to_unit(x, *bounds(stats)),
        inverse=lambda y, stats: _from_unit(y, *bounds(stats)),
    )


def _clipped_bounds(low: str, high: str, eps: float, inverse_eps: float, clip_all: bool = False) -> Scheme:
    """To [-1, 1], clipped there: in the dimensions of the mask, or, with ``clip_all``, in all of them."""

    def forward(x: Array, stats: NormStats) -> Array:
        lowest, width = _range(stats, low, high)
        unit = np.where(_mask(stats), np.clip(_to_unit(x, lowest, width + eps), -1.0, 1.0), x)
        return np.clip(unit, -1.0, 1.0) if clip_all else unit

    def inverse(y: Array, stats: NormStats) -> Array:
        lowest, width = _range(stats, low, high)
        return np.where(_mask(stats), _from_unit(y, lowest, width + inverse_eps), y)

    return Scheme((low, high), forward, inverse, masks=True)


def _oft_actions(low: str, high: str) -> Scheme:
    """As OFT prepares demonstrated actions: a dimension that stood still is 0, whatever the mask says."""
    bounds = _clipped_bounds(low, high, _OFT_EPS, _OFT_EPS)

    def forward(x: Array, stats: NormStats) -> Array:
        still = np.array(stats.min) == np.array(stats.max)
        return np.where(still, 0.0, bounds.forward(x, stats))

    needs = tuple(dict.fromkeys((low, high, "min", "max")))
    return Scheme(needs, forward, bounds.inverse, masks=True)


def _oft_proprio(low: str, high: str) -> Scheme:
    return _clipped_bounds(low, high, _OFT_EPS, _OFT_EPS, clip_all=True)


def _groot_bounds(low: str, high: str, still: Callable[[Array], Array], clip: bool) -> Scheme:
    """``still`` makes what a dimension without a range is normalised to."""

    def forward(x: Array, stats: NormStats) -> Array:
        lowest, width = _range(stats, low, high)
        unit = np.where(width == 0, still(x), _to_unit(x, lowest, np.where(width == 0, 1.0, width)))
        return np.clip(unit, -1.0, 1.0) if clip else unit

    return Scheme((low, high), forward, lambda y, stats: _from_unit(y, *_range(stats, low, high)))


def _groot_mean_std() -> Scheme:
    def forward(x: Array, stats: NormStats) -> Array:
        std = np.array(stats.std)
        return np.where(std == 0, x, (x - np.array(stats.mean)) / np.where(std == 0, 1.0, std))

    return Scheme(("mean", "std"), forward, _mean_std(eps=0.0).inverse)


def _masked(scheme: Scheme) -> Scheme:
    """A scheme that leaves the dimensions alone that the mask leaves out."""
    return Scheme(
        needs=scheme.needs,
        forward=lambda x, stats: np.where(_mask(stats), scheme.forward(x, stats), x),
        inverse=lambda y, stats: np.where(_mask(stats), scheme.inverse(y, stats), y),
        masks=True,
    )


def _mask(stats: NormStats) -> Array:
    return np.array(stats.mask or (True,) * stats.size)


def _range(stats: NormStats, low: str, high: str) -> tuple[Array, Array]:
    """The lower bound and the width."""
    lowest = np.array(getattr(stats, low))
    return lowest, np.array(getattr(stats, high)) - lowest


def _to_unit(x: Array, low: Array, width: Array) -> Array:
    return np.asarray(2.0 * (x - low) / width - 1.0)


def _from_unit(y: Array, low: Array, width: Array) -> Array:
    return np.asarray((y + 1.0) / 2.0 * width + low)


def _is_on(values: Array, _: NormStats) -> Array:
    return (values > _BINARY_THRESHOLD).astype(np.float64)


SCHEMES: dict[str, Scheme] = {
    "identity": Scheme((), lambda x, _: x, lambda y, _: y),
    "act_mean_std": _mean_std(eps=0.0),  # tonyzhaozh/act, utils.py
    "lerobot_mean_std": _mean_std(eps=LEROBOT_EPS),  # huggingface/lerobot, processor/normalize_processor.py
    "lerobot_min_max": _lerobot_bounds("min", "max"),
    "lerobot_quantiles": _lerobot_bounds("q01", "q99"),
    "openpi_mean_std": _openpi_mean_std(),  # Physical-Intelligence/openpi, transforms.py
    "openpi_quantiles": _openpi_quantiles(),
    "oft_bounds": _oft_actions("min", "max"),  # moojink/openvla-oft, prismatic/vla/datasets/rlds/utils/data_utils.py
    "oft_bounds_q99": _oft_actions("q01", "q99"),
    "oft_proprio_bounds": _oft_proprio("min", "max"),  # the same repository, experiments/robot/openvla_utils.py
    "oft_proprio_bounds_q99": _oft_proprio("q01", "q99"),
    "crossformer_normal": _masked(
        _mean_std(eps=_CROSSFORMER_EPS)
    ),  # rail-berkeley/crossformer, data/utils/data_utils.py
    # its files call these quantiles p01 and p99
    "crossformer_bounds": _clipped_bounds("q01", "q99", eps=_CROSSFORMER_EPS, inverse_eps=0.0),
    # NVIDIA/Isaac-GR00T, gr00t/data/transform/state_action.py; LeRobot's port of GR00T has the first of these alone
    "groot_min_max": _groot_bounds("min", "max", still=np.zeros_like, clip=False),
    "groot_q99": _groot_bounds("q01", "q99", still=np.asarray, clip=True),
    "groot_mean_std": _groot_mean_std(),
    "groot_binary": Scheme(("min", "max"), _is_on, _is_on),
    "joined": Scheme((), lambda x, _: x, lambda y, _: y),  # each part of it has a scheme of its own
}
