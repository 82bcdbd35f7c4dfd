"""How the data of a published CrossFormer were normalised.

``dataset_statistics.json`` has, for each data set, ``action`` and ``proprio_...`` with mean, std, the quantiles p01 and p99, and
a mask of the dimensions that are normalised at all; that of a single data set may stand there without its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vla_core.errors import CheckpointError, choice
from vla_policies.errors import MissingInformation
from vla_policies.formats.json_file import read_json
from vla_policies.normalisation import Normalisation, NormStats, SchemeName
from vla_policies.pipeline import ACTION

STATISTICS_FILE = "dataset_statistics.json"

_KIND = "action_proprio_normalization_type"
_SCHEMES: dict[str, SchemeName] = {"normal": "crossformer_normal", "bounds": "crossformer_bounds"}
_STATISTICS = {"normal": {"mean": "mean", "std": "std"}, "bounds": {"q01": "p01", "q99": "p99"}}  # ours: theirs


@dataclass(frozen=True)
class Statistics:
    """Of one data set.

    Attributes:
        data: by key.
        kind: ``normal`` or ``bounds``.
        not_normalised: keys that were left as they are.
        where: the file, for errors.
    """

    data: Mapping[str, Any]
    kind: str
    not_normalised: tuple[str, ...]
    where: str

    def of_actions(self) -> Normalisation:
        """Raises CheckpointError as :meth:`of_state`."""
        return self._of(ACTION)

    def of_state(self, key: str) -> Normalisation:
        """Of an observation key. Raises CheckpointError if its statistics are missing or cannot be used."""
        return Normalisation("identity") if key in self.not_normalised else self._of(key)

    def _of(self, key: str) -> Normalisation:
        found = self.data.get(key)
        wanted = _STATISTICS[self.kind]
        if not isinstance(found, dict) or not all(isinstance(found.get(name), list) for name in wanted.values()):
            there = sorted(found) if isinstance(found, dict) else found
            raise CheckpointError(f"{self.where}: {key}: expected {choice(list(wanted.values()))}, found {there!r}")
        try:
            numbers = {ours: tuple(float(value) for value in found[theirs]) for ours, theirs in wanted.items()}
            mask = tuple(bool(value) for value in found.get("mask") or ())
            return Normalisation(_SCHEMES[self.kind], NormStats(**numbers, mask=mask))
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"{self.where}: {key}: {error}") from error


def read_statistics(folder: Path, settings: Mapping[str, Any], dataset: str) -> Statistics:
    """Reads the statistics of a checkpoint.

    Args:
        folder: the checkpoint.
        settings: its ``config.json``, which says how they are used.
        dataset: the data set; may be empty if there is only one.

    Raises:
        CheckpointError: the file cannot be read, or they are used in a way that is not known here.
        MissingInformation: no such data set.
    """
    where = str(folder / STATISTICS_FILE)
    data = _dataset(read_json(folder / STATISTICS_FILE), dataset, where)
    kind = _find(settings, _KIND) or "normal"
    if not isinstance(kind, str) or kind not in _SCHEMES:
        raise CheckpointError(f"{folder}: {_KIND}: expected {choice(_SCHEMES)}, found {kind!r}")
    not_normalised = settings.get("skip_norm_keys") or []
    if not isinstance(not_normalised, list):
        raise CheckpointError(f"{folder}: skip_norm_keys: expected a list of names, found {not_normalised!r}")
    return Statistics(data, kind, tuple(not_normalised), where)


def _dataset(statistics: Mapping[str, Any], dataset: str, where: str) -> Mapping[str, Any]:
    if ACTION in statistics:
        return statistics
    if not dataset and len(statistics) == 1:
        dataset = next(iter(statistics))
    if dataset not in statistics:
        raise MissingInformation(f"{where}: dataset: expected {choice(statistics)}, found '{dataset}'")
    found = statistics[dataset]
    if not isinstance(found, dict):
        raise CheckpointError(f"{where}: {dataset}: expected statistics by name, found {found!r:.40}")
    return found


def _find(settings: Mapping[str, Any], key: str) -> Any:
    """The value of a key anywhere in nested settings; None if there is none."""
    waiting: list[Any] = [settings]
    while waiting:
        found = waiting.pop()
        if isinstance(found, Mapping):
            if key in found:
                return found[key]
            waiting.extend(found.values())
    return None
