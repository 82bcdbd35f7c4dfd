"""The files of LeRobot's checkpoints of GR00T N1.5 (up to LeRobot 0.5.1): ``config.json`` and the processors.

Statistics are in the state file of a processor, by ``<feature>.<statistic>``; min and max are used. LeRobot's own processor
unnormalises only the last action of a chunk that it is given; here the whole chunk is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vla_core.errors import CheckpointError, choice
from vla_policies.formats.json_file import read_json
from vla_policies.formats.lerobot import LeRobotPolicy
from vla_policies.groot.config import EMBODIMENTS, NEW_EMBODIMENT
from vla_policies.normalisation import Normalisation, NormStats
from vla_policies.pipeline import ACTION
from vla_policies.spec import ImageSize
from vla_policies.weights import read_weights

STATE, IMAGES = "observation.state", "observation.images."

_PACK, _UNPACK = "groot_pack_inputs_v3", "groot_action_unpack_unnormalize_v1"
_STEPS = {
    "policy_preprocessor.json": (
        "rename_observations_processor",
        "to_batch_processor",
        _PACK,
        "groot_eagle_encode_v3",
        "groot_eagle_collate_v3",
        "device_processor",
    ),
    "policy_postprocessor.json": (_UNPACK, "device_processor"),
}
_ROWS = {**EMBODIMENTS, "so100": 2, "unitree_g1": 3}
_UNKNOWN_ROW = 0  # LeRobot's, for a tag that it does not know


@dataclass(frozen=True)
class LeRobotSettings:
    """What surrounds the network.

    Attributes:
        images: by what follows ``observation.images.``, in the network's order, which is that of the alphabet.
        state: how the state is normalised.
        action: how an action is.
        sizes: dimensions of state and action.
        embodiment: row of the weights that are used.
        chunk_size: actions of a chunk, of which the network has no more than it has.
    """

    images: Mapping[str, ImageSize]
    state: Normalisation
    action: Normalisation
    sizes: tuple[int, int]
    embodiment: int
    chunk_size: int

    @staticmethod
    def read(folder: Path, config: Mapping[str, Any]) -> LeRobotSettings:
        """Reads them. Raises CheckpointError if a file is missing or damaged, or says something that is not supported."""
        policy = LeRobotPolicy(str(folder), config, weights={}, stats={})
        pack = _step(folder, "policy_preprocessor.json", _PACK)
        unpack = _step(folder, "policy_postprocessor.json", _UNPACK)
        settings = _settings(pack)
        if settings.get("formalize_language"):
            raise CheckpointError(f"{folder}: {_PACK}: formalize_language: expected false, found true")
        tag = settings.get("embodiment_tag", config.get("embodiment_tag", ""))
        rows = settings.get("embodiment_mapping", _ROWS)
        state = _vector(policy, "input_features", "STATE", STATE)
        action = _vector(policy, "output_features", "ACTION", ACTION)
        return LeRobotSettings(
            images=_images(policy),
            state=_normalisation(folder, pack, STATE, state),
            action=_normalisation(folder, unpack, ACTION, action),
            sizes=(state, action),
            embodiment=rows.get(tag, _UNKNOWN_ROW) if tag else NEW_EMBODIMENT,
            chunk_size=policy.require_count("chunk_size"),
        )


def _images(policy: LeRobotPolicy) -> dict[str, ImageSize]:
    features = policy.features("input_features", "VISUAL")
    for feature, shape in features.items():
        if len(shape) != 3 or shape[0] != 3:
            raise CheckpointError(f"{policy.where}: {feature}: expected the shape (3, height, width), found {shape}")
    return {
        feature.removeprefix(IMAGES): ImageSize(width=features[feature][2], height=features[feature][1])
        for feature in sorted(features)
    }


def _vector(policy: LeRobotPolicy, which: str, kind: str, name: str) -> int:
    """The size of the only vector of a kind."""
    found = policy.features(which, kind)
    if list(found) != [name] or len(found[name]) != 1:
        raise CheckpointError(
            f"{policy.where}: {which}: expected one vector '{name}' of the type {kind}, found {found}"
        )
    return found[name][0]


def _step(folder: Path, file: str, wanted: str) -> Mapping[str, Any]:
    """The step of that name; all others must be known not to change numbers in another way than is done here."""
    steps = read_json(folder / file).get("steps")
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        raise CheckpointError(f"{folder / file}: steps: expected a list of steps, found {steps!r:.80}")
    by_name = {step.get("registry_name", step.get("class")): step for step in steps}
    unknown = [name for name in by_name if name not in _STEPS[file]]
    if unknown or wanted not in by_name:
        raise CheckpointError(
            f"{folder / file}: steps: expected {choice(_STEPS[file])}, with '{wanted}' among them, found {list(by_name)}"
        )
    found: Mapping[str, Any] = by_name[wanted]
    return found


def _settings(step: Mapping[str, Any]) -> Mapping[str, Any]:
    settings = step.get("config")
    return settings if isinstance(settings, dict) else {}


def _normalisation(folder: Path, step: Mapping[str, Any], feature: str, size: int) -> Normalisation:
    if _settings(step).get("normalize_min_max") is False:
        return Normalisation("identity")
    if "state_file" not in step:
        raise CheckpointError(f"{folder}: expected min and max of '{feature}' in the processors' files, found none")
    # only the name: a checkpoint does not lead to files outside of its folder
    file = folder / Path(str(step["state_file"])).name
    stats = read_weights(file)
    names = [f"{feature}.min", f"{feature}.max"]
    if any(name not in stats for name in names):
        raise CheckpointError(f"{file}: expected {choice(names)}, found {sorted(stats)}")
    low, high = (tuple(float(value) for value in stats[name].flatten()) for name in names)
    try:
        normalisation = Normalisation("groot_min_max", NormStats(min=low, max=high))
    except ValueError as error:
        raise CheckpointError(f"{file}: statistics of '{feature}': {error}") from error
    if normalisation.size != size:
        raise CheckpointError(f"{file}: {feature}: expected {size} values, found {normalisation.size}")
    return normalisation
