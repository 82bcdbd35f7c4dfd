"""ACT policies of LeRobot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from vla_core import config as configuration
from vla_core.embodiment import Embodiment
from vla_core.errors import CheckpointError, EmbodimentMismatch, choice
from vla_policies import provenance
from vla_policies.act.config import ActConfig
from vla_policies.act.keys import from_layout
from vla_policies.checkpoint import Checkpoint, PolicyConfig, Provenance
from vla_policies.formats.foreign_config import config_of_foreign
from vla_policies.formats.lerobot import LeRobotPolicy, read_lerobot
from vla_policies.normalisation import Normalisation
from vla_policies.pipeline import ACTION
from vla_policies.spec import ImageSize, PolicySpec

STATE = "observation.state"
IMAGES = "observation.images."
HYPER_PARAMETERS = {
    "dim_model": "hidden_dim",
    "dim_feedforward": "feedforward_dim",
    "n_heads": "heads",
    "n_encoder_layers": "encoder_layers",
    "n_vae_encoder_layers": "style_encoder_layers",
    "n_decoder_layers": "decoder_layers",
    "latent_dim": "latent_dim",
}
# what LeRobot can be told and this network cannot do
_FIXED = {"vision_backbone": "resnet18", "n_obs_steps": 1}


def read_lerobot_act(
    folder: Path | str, embodiment: Embodiment, cameras: Sequence[str] = (), name: str = "act"
) -> Checkpoint:
    """Reads an ACT policy of LeRobot.

    Args:
        folder: with its ``config.json``.
        embodiment: the robot that it was trained with; LeRobot does not keep names, units and rate.
        cameras: camera roles in the order of its image features; by default what follows ``observation.images.``.
        name: what to call the policy.

    Raises:
        CheckpointError: a file is missing or damaged, or the policy has something that is not supported.
        EmbodimentMismatch: it does not fit the robot.
    """
    policy = read_lerobot(folder, "act")
    roles = _roles(policy, cameras, embodiment)
    sizes = policy.features("input_features", "VISUAL")
    spec = PolicySpec(
        cameras={role: ImageSize(width=sizes[feature][2], height=sizes[feature][1]) for feature, role in roles.items()},
        proprioception=("qpos",),
        action_horizon=policy.require_count("chunk_size"),
    )
    spec.require_sizes(embodiment, *_vector_sizes(policy), policy.where)
    return Checkpoint(
        PolicyConfig(
            schema="vla/policy/1",
            name=name,
            family="act",
            network=configuration.to_mapping(_hyper_parameters(policy)),
            spec=spec,
            normalisation=_normalisation(policy, roles),
            provenance=Provenance(created=provenance.now(), source=str(folder), versions=provenance.versions()),
            embodiment=embodiment,
        ),
        from_layout(policy.weights, "lerobot"),
    )


def _roles(policy: LeRobotPolicy, cameras: Sequence[str], embodiment: Embodiment) -> dict[str, str]:
    """Image feature to camera role, in the policy's order."""
    features = policy.features("input_features", "VISUAL")
    if not features:
        raise CheckpointError(f"{policy.where}: expected at least one image among the input features, found none")
    for feature, shape in features.items():
        if len(shape) != 3 or shape[0] != 3:
            raise CheckpointError(f"{policy.where}: {feature}: expected the shape (3, height, width), found {shape}")
    roles = list(cameras) or [feature.rpartition(".")[2] for feature in features]
    if len(roles) != len(features) or len(set(roles)) != len(roles):
        raise CheckpointError(f"{policy.where}: expected a camera role for each of {list(features)}, found {roles}")
    for feature, role in zip(features, roles, strict=True):
        if role not in embodiment.cameras:
            raise EmbodimentMismatch(
                f"{policy.where} needs the camera '{role}' for '{feature}'; '{embodiment.name}' has "
                f"{choice(embodiment.cameras)}: expected one of them for each of its images {list(features)}"
            )
    return dict(zip(features, roles, strict=True))


def _vector_sizes(policy: LeRobotPolicy) -> tuple[int, int]:
    """Sizes of state and action."""
    if policy.features("input_features", "ENV"):
        raise CheckpointError(f"{policy.where}: expected images and {STATE} as inputs, found an environment state too")
    state = policy.features("input_features", "STATE")
    action = policy.features("output_features", "ACTION")
    if list(state) != [STATE] or list(action) != [ACTION]:
        raise CheckpointError(
            f"{policy.where}: expected the features '{STATE}' and '{ACTION}', found {[*state, *action]}"
        )
    for name, shape in ((STATE, state[STATE]), (ACTION, action[ACTION])):
        if len(shape) != 1:
            raise CheckpointError(f"{policy.where}: {name}: expected a vector's shape (n,), found {shape}")
    return state[STATE][0], action[ACTION][0]


def _hyper_parameters(policy: LeRobotPolicy) -> ActConfig:
    for key, expected in _FIXED.items():
        if policy.config.get(key, expected) != expected:
            raise CheckpointError(f"{policy.where}: {key}: expected {expected!r}, found {policy.config[key]!r}")
    if policy.config.get("replace_final_stride_with_dilation"):
        raise CheckpointError(f"{policy.where}: replace_final_stride_with_dilation: expected false, found true")
    data = {ours: policy.require(theirs, int) for theirs, ours in HYPER_PARAMETERS.items()}
    data |= {
        "dropout": float(policy.config.get("dropout", 0.1)),
        "kl_weight": float(policy.config.get("kl_weight", 10.0)),
        "activation": policy.require("feedforward_activation", str),
        "pre_norm": policy.require("pre_norm", bool),
        "use_cvae": policy.require("use_vae", bool),
        "l1_denominator": "valid",
    }
    return config_of_foreign(ActConfig, data, policy.where)


def _normalisation(policy: LeRobotPolicy, roles: Mapping[str, str]) -> dict[str, Normalisation]:
    images = {role: policy.normalisation(feature, "VISUAL") for feature, role in roles.items()}
    return {**images, "qpos": policy.normalisation(STATE, "STATE"), ACTION: policy.normalisation(ACTION, "ACTION")}
