"""LeRobot's container for a policy: ``config.json``, ``model.safetensors`` and the statistics, wherever they are.

Source: huggingface/lerobot, ``policies/pretrained.py`` and ``processor/``. Today's policies keep statistics in the files of
their processors; older ones keep them as buffers inside the weights.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from vla_core.errors import CheckpointError, choice
from vla_policies.normalisation import Normalisation, NormStats
from vla_policies.weights import read_weights

_CONFIG_FILE = "config.json"
_WEIGHTS_FILE = "model.safetensors"
# the pipeline's file, the step that holds statistics; both hold those of all features
_PROCESSORS = (
    ("policy_preprocessor.json", "normalizer_processor"),
    ("policy_postprocessor.json", "unnormalizer_processor"),
)
_LEGACY_BUFFER = re.compile(r"(?:normalize_inputs|normalize_targets|unnormalize_outputs)\.buffer_(.+)\.(\w+)")

Stats = Mapping[str, Mapping[str, Tensor]]


@dataclass(frozen=True, eq=False)
class LeRobotPolicy:
    """A policy as LeRobot stores it.

    Attributes:
        where: its folder, for errors.
        config: ``config.json``; keys that nobody asks for are left alone.
        weights: the network's tensors by LeRobot's names, without statistics.
        stats: feature to statistic (``mean``, ``std`` ...) to tensor.
    """

    where: str
    config: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    stats: Stats

    def require(self, key: str, kind: type[Any]) -> Any:
        """A value of ``config.json``. Raises CheckpointError if it is missing or of another type."""
        value = self.config.get(key)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            found = repr(value) if key in self.config else "nothing"
            raise CheckpointError(f"{self.where}/{_CONFIG_FILE}: {key}: expected {kind.__name__}, found {found}")
        return value

    def features(self, which: str, kind: str) -> dict[str, tuple[int, ...]]:
        """Names and shapes of ``input_features`` or ``output_features`` of a type (STATE, VISUAL, ENV, ACTION), in order."""
        found = {}
        for name, feature in self.require(which, dict).items():
            if not isinstance(feature, dict) or not isinstance(feature.get("shape"), list):
                raise CheckpointError(
                    f"{self.where}/{_CONFIG_FILE}: {which}.{name}: expected type and shape, found {feature!r}"
                )
            if feature.get("type") == kind:
                found[name] = tuple(feature["shape"])
        return found

    def normalisation(self, feature: str, kind: str) -> Normalisation:
        """How a feature of a type is normalised.

        Raises:
            CheckpointError: by a scheme that is not known here, or statistics are missing or unusable: guessing them would
                move the robot on wrong numbers.
        """
        mode = self.require("normalization_mapping", dict).get(kind)
        if mode == "IDENTITY":
            return Normalisation("identity")
        if mode != "MEAN_STD":
            raise CheckpointError(
                f"{self.where}/{_CONFIG_FILE}: normalization_mapping.{kind}: expected 'MEAN_STD' or 'IDENTITY', found {mode!r}"
            )
        stats = self.stats.get(feature, {})
        if "mean" not in stats or "std" not in stats:
            raise CheckpointError(
                f"{self.where}: expected mean and std of '{feature}' in the processors' files or in {_WEIGHTS_FILE}, "
                f"found statistics of {choice(self.stats)}"
            )
        try:
            return Normalisation("lerobot_mean_std", NormStats(_tuple(stats["mean"]), _tuple(stats["std"])))
        except ValueError as error:
            raise CheckpointError(f"{self.where}: statistics of '{feature}': {error}") from error


def read_lerobot(folder: Path | str, kind: str) -> LeRobotPolicy:
    """Reads a folder.

    Args:
        folder: with ``config.json``.
        kind: the policy type that is expected in it, for example ``act``.

    Raises:
        CheckpointError: a file is missing, damaged, or of another type of policy.
    """
    folder = Path(folder)
    config = _read_json(folder / _CONFIG_FILE)
    if config.get("type") != kind:
        raise CheckpointError(f"{folder / _CONFIG_FILE}: type: expected '{kind}', found {config.get('type')!r}")
    tensors = read_weights(folder / _WEIGHTS_FILE)
    weights = {name: tensor for name, tensor in tensors.items() if not _LEGACY_BUFFER.fullmatch(name)}
    stats = _processor_stats(folder) or _legacy_stats(tensors, config)
    return LeRobotPolicy(str(folder), config, weights, stats)


def _processor_stats(folder: Path) -> dict[str, dict[str, Tensor]]:
    """Statistics from the state files of the processors; their keys are ``<feature>.<statistic>``."""
    stats: dict[str, dict[str, Tensor]] = {}
    for file_name, step_name in _PROCESSORS:
        if not (folder / file_name).is_file():
            continue
        steps = _read_json(folder / file_name).get("steps")
        for step in steps if isinstance(steps, list) else []:
            if isinstance(step, dict) and step.get("registry_name") == step_name and "state_file" in step:
                # only the name: a checkpoint does not lead to files outside of its folder
                for key, tensor in read_weights(folder / Path(str(step["state_file"])).name).items():
                    feature, _, statistic = key.rpartition(".")
                    stats.setdefault(feature, {})[statistic] = tensor
    return stats


def _legacy_stats(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, dict[str, Tensor]]:
    """Statistics from buffers, in whose names underscores stand for dots: only the features' names tell which."""
    names = {
        name.replace(".", "_"): name
        for which in ("input_features", "output_features")
        for name in config.get(which) or {}
    }
    stats: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        found = _LEGACY_BUFFER.fullmatch(key)
        if found and found.group(1) in names:
            stats.setdefault(names[found.group(1)], {})[found.group(2)] = tensor
    return stats


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text())
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise CheckpointError(f"{path}: is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path}: expected a JSON object, found a {type(data).__name__}")
    return data


def _tuple(values: Tensor) -> tuple[float, ...]:
    return tuple(float(value) for value in values.flatten())
