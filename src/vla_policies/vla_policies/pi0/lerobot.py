"""pi0 and pi0.5 policies of LeRobot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vla_core.embodiment import Embodiment
from vla_core.errors import CheckpointError, EmbodimentMismatch, choice
from vla_policies import provenance
from vla_policies.checkpoint import Checkpoint, PolicyConfig, Provenance
from vla_policies.formats.json_file import read_json
from vla_policies.formats.lerobot import CONFIG_FILE, MODES, LeRobotPolicy, read_lerobot
from vla_policies.normalisation import Normalisation
from vla_policies.pi0.keys import from_published, is_pi05, sizes
from vla_policies.pi0.told import IMAGES, NOTHING_TOLD, Pi0Told, checked_network, require_references
from vla_policies.pipeline import ACTION
from vla_policies.spec import PolicySpec, image_size

STATE, IMAGE = "observation.state", "observation.images."
TYPES = ("pi0", "pi05")
_OTHERS = {"pi0_fast": "pi0-FAST", "pi0fast": "pi0-FAST"}
_RELATIVE = ("relative_actions_processor", "delta_actions_processor", "absolute_actions_processor")
_PROMPT = ("tokenizer_processor", "pi0_new_line_processor", "pi05_prepare_state_tokenizer_processor_step")
_PROCESSORS = ("policy_preprocessor.json", "policy_postprocessor.json")
_EMPTY_CAMERA = f"{IMAGE}empty_camera"
_VECTORS = (("input_features", "STATE", STATE), ("output_features", "ACTION", ACTION))
# what LeRobot can be told and this network cannot do
_FIXED = {"n_obs_steps": 1, "min_period": 4e-3, "max_period": 4.0}


def is_lerobot_pi0(folder: Path) -> bool:
    """Whether the folder holds a policy of LeRobot of this family, or of pi0-FAST, which is refused by name."""
    path = folder / CONFIG_FILE
    return path.is_file() and read_json(path).get("type") in (*TYPES, *_OTHERS)


def read_lerobot_pi0(
    folder: Path | str,
    embodiment: Embodiment,
    cameras: Sequence[str] = (),
    told: Pi0Told = NOTHING_TOLD,
    name: str = "pi0",
) -> Checkpoint:
    """Reads a policy.

    Args:
        folder: with its ``config.json``.
        embodiment: the robot that it was trained with; its actions and positions are in the policy's order and units.
        cameras: camera roles in the order of its image features; by default what follows ``observation.images.``.
        told: of this, the tokenizer.
        name: what to call the policy.

    Raises:
        MissingInformation: the tokenizer is not told.
        CheckpointError: a file is missing or damaged, or the policy has something that is not supported.
        EmbodimentMismatch: it does not fit the robot.
    """
    folder = Path(folder)
    kind = _type(folder)
    policy = read_lerobot(folder, kind, (*_RELATIVE, *_PROMPT))
    told.require(policy.where, tokenizer="the file paligemma_tokenizer.model")
    weights = from_published(policy.weights, policy.where)
    if is_pi05(weights) != (kind == "pi05"):
        found = "pi0.5" if is_pi05(weights) else "pi0"
        raise CheckpointError(f"{policy.where}: type: expected the weights of '{kind}', found those of {found}")
    roles = _roles(policy, cameras, embodiment)
    absolute = _absolute_actions(policy, embodiment, folder)
    spec = PolicySpec(
        cameras={role: image_size(embodiment, role, policy.where) for role in roles},
        proprioception=("qpos",),
        action_horizon=policy.require_count("chunk_size"),
        action_reference="absolute" if absolute is None else "qpos",
        absolute_actions=absolute or (),
    )
    state_dim, action_dim = (_size(policy, *feature) for feature in _VECTORS)
    spec.require_sizes(embodiment, state_dim, action_dim, policy.where)
    shapes = sizes(weights, policy.where, told.vision_heads)
    return Checkpoint(
        PolicyConfig(
            schema="vla/policy/1",
            name=name,
            family=kind,
            network=checked_network(kind, {**shapes, **_settings(policy, shapes["action_dim"], told)}, policy.where),
            spec=spec,
            normalisation={**dict.fromkeys(roles, IMAGES), **_normalisation(policy)},
            provenance=Provenance(created=provenance.now(), source=policy.where, versions=provenance.versions()),
            embodiment=embodiment,
        ),
        weights,
    )


def _type(folder: Path) -> str:
    found = read_json(folder / CONFIG_FILE).get("type")
    if found in _OTHERS:
        raise CheckpointError(
            f"{folder / CONFIG_FILE}: type: expected {choice(TYPES)}, found {_OTHERS[found]}, which writes its actions as text"
        )
    if found not in TYPES:
        raise CheckpointError(f"{folder / CONFIG_FILE}: type: expected {choice(TYPES)}, found {found!r}")
    return str(found)


def _roles(policy: LeRobotPolicy, cameras: Sequence[str], embodiment: Embodiment) -> list[str]:
    """One for each image; those of cameras that are not there, which are masked, need none."""
    features = [name for name in policy.features("input_features", "VISUAL") if not name.startswith(_EMPTY_CAMERA)]
    roles = list(cameras) or [name.removeprefix(IMAGE) for name in features]
    if not roles or len(roles) > len(features) or len(set(roles)) != len(roles):
        raise CheckpointError(f"{policy.where}: expected camera roles for {features}, in their order, found {roles}")
    for role in roles:
        if role not in embodiment.cameras:
            raise EmbodimentMismatch(
                f"{policy.where} needs the camera '{role}'; '{embodiment.name}' has {choice(embodiment.cameras)}: "
                f"expected those of them that serve as {features}"
            )
    return roles


def _size(policy: LeRobotPolicy, which: str, kind: str, name: str) -> int:
    shape = policy.features(which, kind).get(name, ())
    if len(shape) != 1:
        raise CheckpointError(f"{policy.where}: {which}.{name}: expected a vector's shape (n,), found {shape}")
    return shape[0]


def _settings(policy: LeRobotPolicy, action_dim: int, told: Pi0Told) -> dict[str, object]:
    for key, expected in (*_FIXED.items(), ("max_action_dim", action_dim), ("max_state_dim", action_dim)):
        if policy.config.get(key, expected) != expected:
            raise CheckpointError(f"{policy.where}: {key}: expected {expected!r}, found {policy.config[key]!r}")
    return {
        "prompt_length": policy.require_count("tokenizer_max_length"),
        "sampling_steps": policy.require_count("num_inference_steps"),
        "tokenizer": str(told.tokenizer),
        "default_prompt": told.default_prompt,
        "accumulated_times": False,
        "antialias": False,
        "loss_dims": "real",
    }


def _absolute_actions(policy: LeRobotPolicy, embodiment: Embodiment, folder: Path) -> tuple[str, ...] | None:
    """Names of the actions that are absolute, or None if all are."""
    relative = bool(policy.config.get("use_relative_actions", False))
    for step in (step for processor in _PROCESSORS for step in _steps(folder / processor)):
        enabled = step.get("config", {}).get("enabled", False)
        if step.get("registry_name") in _RELATIVE and bool(enabled) != relative:
            raise CheckpointError(
                f"{policy.where}: use_relative_actions: expected {bool(enabled)} as in the processors, found {relative}"
            )
    if not relative:
        return None
    names = policy.config.get("action_feature_names")
    excluded = policy.config.get("relative_exclude_joints") or []
    if names is None:
        mask = (True,) * len(embodiment.action_names)
    else:
        mask = tuple(not any(str(part).lower() in str(its_name).lower() for part in excluded) for its_name in names)
    if len(mask) != len(embodiment.action_names):
        raise CheckpointError(
            f"{policy.where}: action_feature_names: expected {len(embodiment.action_names)} names, found {names}"
        )
    return require_references(embodiment, mask, policy.where)


def _steps(path: Path) -> list[dict[str, Any]]:
    steps = read_json(path).get("steps", []) if path.is_file() else []
    return [step for step in steps if isinstance(step, dict) and isinstance(step.get("config", {}), dict)]


def _normalisation(policy: LeRobotPolicy) -> dict[str, Normalisation]:
    policy.normalisation("", "VISUAL", ())  # from -1 to 1, always
    return {"qpos": policy.normalisation(STATE, "STATE", MODES), ACTION: policy.normalisation(ACTION, "ACTION", MODES)}
