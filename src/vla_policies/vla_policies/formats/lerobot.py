"""LeRobot's container for a policy: ``config.json``, ``model.safetensors`` and the statistics, wherever they are.

Source: huggingface/lerobot, ``policies/pretrained.py`` and ``processor/``. Today's policies keep statistics in the files of
their processors; older ones keep them as buffers inside the weights.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vla_core.errors import CheckpointError, choice
from vla_policies.formats.json_file import read_json
from vla_policies.normalisation import LEROBOT_EPS, Normalisation, NormStats, SchemeName
from vla_policies.weights import read_weights, write_weights

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
# the pipeline's name, and its step that holds statistics; both hold those of all features
PROCESSORS = {"policy_preprocessor": "normalizer_processor", "policy_postprocessor": "unnormalizer_processor"}

# a mode's scheme, and the statistics that it needs
MODES: dict[str, tuple[SchemeName, tuple[str, str]]] = {
    "MEAN_STD": ("lerobot_mean_std", ("mean", "std")),
    "MIN_MAX": ("lerobot_min_max", ("min", "max")),
    "QUANTILES": ("lerobot_quantiles", ("q01", "q99")),
}

# steps that do not change numbers; another one would make the policy see or do something else than it does here
_NEUTRAL_STEPS = frozenset({"rename_observations_processor", "to_batch_processor", "device_processor"})
_LEGACY_BUFFER = re.compile(
    r"(?:_orig_mod\.)?(?:normalize_inputs|normalize_targets|unnormalize_outputs)\.buffer_(.+)\.(\w+)"
)

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
            raise CheckpointError(f"{self.where}/{CONFIG_FILE}: {key}: expected {kind.__name__}, found {found}")
        return value

    def require_count(self, key: str) -> int:
        """A whole number above 0 of ``config.json``. Raises as :meth:`require`."""
        value: int = self.require(key, int)
        if value < 1:
            raise CheckpointError(f"{self.where}/{CONFIG_FILE}: {key}: expected at least 1, found {value}")
        return value

    def features(self, which: str, kind: str) -> dict[str, tuple[int, ...]]:
        """Names and shapes of ``input_features`` or ``output_features`` of a type (STATE, VISUAL, ENV, ACTION), in order."""
        found = {}
        for name, feature in self.require(which, dict).items():
            if not isinstance(feature, dict) or not _is_shape(feature.get("shape")):
                raise CheckpointError(
                    f"{self.where}/{CONFIG_FILE}: {which}.{name}: expected type and shape, found {feature!r}"
                )
            if feature.get("type") == kind:
                found[name] = tuple(feature["shape"])
        return found

    def normalisation(self, feature: str, kind: str, modes: Collection[str] = ("MEAN_STD",)) -> Normalisation:
        """How a feature of a type is normalised. As in LeRobot, a type that is not mentioned is not.

        Args:
            feature: its name.
            kind: STATE, VISUAL or ACTION.
            modes: those of ``MODES`` that are expected.

        Raises:
            CheckpointError: by a scheme that is not known here, or statistics are missing or unusable: guessing them would
                move the robot on wrong numbers.
        """
        mode = self.require("normalization_mapping", dict).get(kind, "IDENTITY")
        if mode == "IDENTITY":
            return Normalisation("identity")
        if mode not in modes:
            expected = choice([*modes, "IDENTITY"])
            raise CheckpointError(
                f"{self.where}/{CONFIG_FILE}: normalization_mapping.{kind}: expected {expected}, found {mode!r}"
            )
        scheme, (low, high) = MODES[mode]
        stats = self.stats.get(feature, {})
        if low not in stats or high not in stats:
            raise CheckpointError(
                f"{self.where}: expected {low} and {high} of '{feature}' in the processors' files or in {WEIGHTS_FILE}, "
                f"found statistics of {choice(self.stats)}"
            )
        try:
            found = {name: _tuple(stats[name]) for name in (low, high)}
            return Normalisation(scheme, NormStats(**found))  # type: ignore[arg-type]  # the mask is none of them
        except ValueError as error:
            raise CheckpointError(f"{self.where}: statistics of '{feature}': {error}") from error


def read_lerobot(folder: Path | str, kind: str, steps: Collection[str] = ()) -> LeRobotPolicy:
    """Reads a folder.

    Args:
        folder: with ``config.json``.
        kind: the policy type that is expected in it, for example ``act``.
        steps: names of its processors' steps that the caller takes care of.

    Raises:
        CheckpointError: a file is missing, damaged, or of another type of policy.
    """
    folder = Path(folder)
    config = read_json(folder / CONFIG_FILE)
    if config.get("type") != kind:
        raise CheckpointError(f"{folder / CONFIG_FILE}: type: expected '{kind}', found {config.get('type')!r}")
    tensors = read_weights(folder / WEIGHTS_FILE)
    weights = {name: tensor for name, tensor in tensors.items() if not _LEGACY_BUFFER.fullmatch(name)}
    stats = _processor_stats(folder, config, steps) or _legacy_stats(tensors, config)
    return LeRobotPolicy(str(folder), config, weights, stats)


def write_lerobot(
    folder: Path, config: Mapping[str, Any], weights: Mapping[str, Tensor], stats: Mapping[str, NormStats]
) -> None:
    """Writes a policy into a folder: its configuration, its weights and its processors.

    Args:
        folder: where to; it exists.
        config: the content of ``config.json``.
        weights: by LeRobot's names.
        stats: by feature. They are written as they are, in 64 bits; LeRobot rounds them to 32 when it reads them.

    Raises:
        CheckpointError: a file cannot be written.
    """
    features = {**config["input_features"], **config["output_features"]}
    normalise = {"eps": LEROBOT_EPS, "features": features, "norm_map": config["normalization_mapping"]}
    unnormalise = {**normalise, "features": config["output_features"]}
    state = {
        f"{name}.{statistic}": torch.tensor(values, dtype=torch.float64).reshape(_stats_shape(features[name]))
        for name, found in stats.items()
        for statistic, values in (("mean", found.mean), ("std", found.std))
    }
    steps: dict[str, list[dict[str, Any]]] = {
        "policy_preprocessor": [
            {"registry_name": "rename_observations_processor", "config": {"rename_map": {}}},
            {"registry_name": "to_batch_processor", "config": {}},
            {"registry_name": "device_processor", "config": {"device": "cpu", "float_dtype": None}},
            {"registry_name": "normalizer_processor", "config": normalise},
        ],
        "policy_postprocessor": [
            {"registry_name": "unnormalizer_processor", "config": unnormalise},
            {"registry_name": "device_processor", "config": {"device": "cpu", "float_dtype": None}},
        ],
    }
    write_weights(folder / WEIGHTS_FILE, weights)
    _write_json(folder / CONFIG_FILE, config)
    for pipeline, its_steps in steps.items():
        for index, step in enumerate(its_steps):
            if step["registry_name"] == PROCESSORS[pipeline]:
                step["state_file"] = f"{pipeline}_step_{index}_{PROCESSORS[pipeline]}.safetensors"
                write_weights(folder / step["state_file"], state)
        _write_json(folder / f"{pipeline}.json", {"name": pipeline, "steps": its_steps})


def _stats_shape(feature: Mapping[str, Any]) -> tuple[int, ...]:
    """Statistics of images have one number per channel and are broadcast over rows and columns."""
    return (-1, 1, 1) if feature["type"] == "VISUAL" else (-1,)


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    try:
        path.write_text(json.dumps(data, indent=4) + "\n")
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be written ({error.strerror or error})") from error


def _processor_stats(
    folder: Path, config: Mapping[str, Any], cared_for: Collection[str]
) -> dict[str, dict[str, Tensor]]:
    """Statistics from the state files of the processors; their keys are ``<feature>.<statistic>``."""
    stats: dict[str, dict[str, Tensor]] = {}
    for pipeline, step_name in PROCESSORS.items():
        path = folder / f"{pipeline}.json"
        if not path.is_file():
            continue
        for step in _steps(path):
            name = step.get("registry_name", step.get("class"))
            if name == step_name:
                _require_same_normalisation(step.get("config"), config, path)
                for key, tensor in _read_state(folder, step).items():
                    feature, _, statistic = key.rpartition(".")
                    stats.setdefault(feature, {})[statistic] = tensor
            elif name not in _NEUTRAL_STEPS and name not in cared_for:
                known = sorted([*_NEUTRAL_STEPS, *cared_for, step_name])
                raise CheckpointError(f"{path}: steps: expected {choice(known)}, found {name!r}")
    return stats


def _steps(path: Path) -> list[dict[str, Any]]:
    steps = read_json(path).get("steps")
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        raise CheckpointError(f"{path}: steps: expected a list of steps, found {steps!r}")
    return steps


def _read_state(folder: Path, step: Mapping[str, Any]) -> dict[str, Tensor]:
    if "state_file" not in step:
        return {}
    # only the name: a checkpoint does not lead to files outside of its folder
    return read_weights(folder / Path(str(step["state_file"])).name)


def _require_same_normalisation(step: Any, config: Mapping[str, Any], path: Path) -> None:
    """The step is what LeRobot goes by; ``config.json`` says the same, unless somebody changed one of them."""
    found = step if isinstance(step, dict) else {}
    mapping = config.get("normalization_mapping")
    for key, expected in (("eps", LEROBOT_EPS), ("norm_map", mapping)):
        if found.get(key, expected) != expected:
            raise CheckpointError(f"{path}: {key}: expected {expected!r}, found {found[key]!r}")


def _legacy_stats(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, dict[str, Tensor]]:
    """Statistics from buffers, in whose names underscores stand for dots: only the features' names tell which."""
    names = {
        name.replace(".", "_"): name
        for which in ("input_features", "output_features")
        for name in (config[which] if isinstance(config.get(which), dict) else ())
    }
    stats: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        found = _LEGACY_BUFFER.fullmatch(key)
        if found and found.group(1) in names:
            stats.setdefault(names[found.group(1)], {})[found.group(2)] = tensor
    return stats


def _is_shape(value: Any) -> bool:
    return isinstance(value, list) and all(type(size) is int and size > 0 for size in value)


def _tuple(values: Tensor) -> tuple[float, ...]:
    return tuple(float(value) for value in values.flatten())
