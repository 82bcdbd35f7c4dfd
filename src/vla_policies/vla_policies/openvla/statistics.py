"""How a checkpoint of OpenVLA normalises: ``dataset_statistics.json``, or ``norm_stats`` in its ``config.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from vla_core.errors import CheckpointError, choice
from vla_policies.errors import MissingInformation
from vla_policies.normalisation import Normalisation, NormStats, SchemeName

Bounds = Literal["bounds", "bounds_q99"]

_SCHEMES: dict[Bounds, tuple[SchemeName, SchemeName]] = {
    "bounds": ("oft_bounds", "oft_proprio_bounds"),
    "bounds_q99": ("oft_bounds_q99", "oft_proprio_bounds_q99"),
}
_NUMBERS = ("min", "max", "q01", "q99")


def choose_dataset(stats: Any, key: str, where: str) -> Mapping[str, Any]:
    """The statistics of one of the data sets that a checkpoint was trained on.

    Args:
        stats: data set to its statistics, as read.
        key: the ``unnorm_key``; empty: the only one there is. LIBERO's have ``_no_noops`` behind the name of the suite.
        where: the file, for errors.

    Raises:
        MissingInformation: there are several, and none is named.
        CheckpointError: there is none of that name.
    """
    if not isinstance(stats, Mapping) or not stats or not all(isinstance(value, dict) for value in stats.values()):
        raise CheckpointError(f"{where}: expected data sets with their statistics, found {stats!r:.80}")
    if not key:
        if len(stats) > 1:
            raise MissingInformation(f"{where}: has statistics of several data sets; expected one of {choice(stats)}")
        return dict(next(iter(stats.values())))
    for name in (key, f"{key}_no_noops"):
        if name in stats:
            return dict(stats[name])
    raise CheckpointError(f"{where}: expected statistics of '{key}', found those of {choice(stats)}")


def action_normalisation(dataset: Mapping[str, Any], bounds: Bounds, where: str) -> Normalisation:
    """Of the actions, where the mask says so. Raises CheckpointError if a statistic is missing or wrong."""
    return _normalisation(dataset, "action", _SCHEMES[bounds][0], where)


def proprio_normalisation(dataset: Mapping[str, Any], bounds: Bounds, where: str) -> Normalisation:
    """Of proprioception. Raises CheckpointError if a statistic is missing or wrong."""
    return _normalisation(dataset, "proprio", _SCHEMES[bounds][1], where)


def _normalisation(dataset: Mapping[str, Any], key: str, scheme: SchemeName, where: str) -> Normalisation:
    found = dataset.get(key)
    if not isinstance(found, dict):
        raise CheckpointError(f"{where}: expected statistics of '{key}', found {sorted(dataset)}")
    known: dict[str, Any] = {name: _tuple(found[name], f"{where}: {key}.{name}") for name in _NUMBERS if name in found}
    try:
        mask = tuple(_flag(value) for value in found.get("mask") or ())
        return Normalisation(scheme, NormStats(**known, mask=mask))
    except ValueError as error:
        raise CheckpointError(f"{where}: {key}: {error}") from error


def _tuple(values: object, what: str) -> tuple[float, ...]:
    if not isinstance(values, list) or not all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in values
    ):
        raise CheckpointError(f"{what}: expected a list of numbers, found {values!r:.80}")
    return tuple(float(value) for value in values)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"mask: expected true or false, found {value!r}")
    return value
