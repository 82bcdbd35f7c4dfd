"""Checkpoints of GR00T N1.5: NVIDIA's folders and LeRobot's.

::

    NVIDIA   config.json (model_type gr00t_n1_5), model-0000k-of-0000n.safetensors with an index, experiment_cfg/metadata.json
    LeRobot  config.json (type groot), model.safetensors, the processors, whose files hold the statistics

Neither says what the dimensions are on the robot: the joined keys are taken for the embodiment's positions and actions, in order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from vla_core import config as configuration
from vla_core.embodiment import Embodiment
from vla_core.errors import CheckpointError, EmbodimentMismatch, choice
from vla_policies import provenance
from vla_policies.checkpoint import Checkpoint, PolicyConfig, Provenance
from vla_policies.formats.foreign_config import config_of_foreign
from vla_policies.formats.json_file import read_json
from vla_policies.formats.shards import has_shards, read_shards, shard_files
from vla_policies.groot.config import EMBODIMENTS, GrootConfig
from vla_policies.groot.lerobot import LeRobotSettings
from vla_policies.groot.metadata import Metadata
from vla_policies.groot.nvidia import head_settings
from vla_policies.groot.prompts import image_token
from vla_policies.groot.qwen_tokenizer import read_tokenizer
from vla_policies.groot.versions import CONFIG_FILE, require_n1_5
from vla_policies.groot.weights import by_our_names, decoder_sizes, eagle_config, head_sizes, require_layers
from vla_policies.normalisation import Normalisation, NormStats
from vla_policies.pipeline import ACTION
from vla_policies.spec import ImageSize, PolicySpec

_SIGLIP = Normalisation("act_mean_std", NormStats(mean=(0.5,) * 3, std=(0.5,) * 3))  # images from -1 to 1


@dataclass(frozen=True)
class GrootTold:
    """What such a folder does not say. LeRobot's leaves open the tokenizer alone.

    Attributes:
        tokenizer: path of Eagle's ``tokenizer.json``, or of a folder with ``vocab.json`` and ``merges.txt``. The policy can be
            read and converted without, but not run.
        embodiment_tag: the embodiment, if there are statistics of several.
        embodiment_row: of its weights, if the tag is none that is known.
        state_keys: the keys that make up a state, in order.
        action_keys: and an action.
        mode: how all keys are normalised: ``min_max``, ``q99``, ``mean_std`` or ``binary``.
        modes: how single ones are, as ``action.gripper``, where it is another mode.
        pad_noise: of the decoders for arm and claw: what their code put into padded dimensions.
    """

    tokenizer: str = ""
    embodiment_tag: str = ""
    embodiment_row: int | None = None
    state_keys: tuple[str, ...] = ()
    action_keys: tuple[str, ...] = ()
    mode: str = ""
    modes: Mapping[str, str] = field(default_factory=dict)
    pad_noise: Literal["zero", "keep"] = "zero"


NOTHING_TOLD = GrootTold()


@dataclass(frozen=True)
class _Outside:
    """What surrounds the network.

    Attributes:
        images: cameras by their names there, in the network's order, with the size that it is given.
        state: how the state is normalised.
        action: how an action is.
        action_horizon: actions of a chunk.
        sizes: dimensions of state and action.
    """

    images: Mapping[str, ImageSize]
    state: Normalisation
    action: Normalisation
    action_horizon: int
    sizes: tuple[int, int]


def weights_file(folder: Path) -> Path | None:
    """The file that stands for the weights, the first if there are several; None: there is none."""
    return shard_files(folder)[0] if has_shards(folder) else None


def read_groot(
    folder: Path | str,
    embodiment: Embodiment,
    cameras: Sequence[str] = (),
    told: GrootTold = NOTHING_TOLD,
    name: str = "groot",
) -> Checkpoint:
    """Reads a checkpoint of GR00T N1.5.

    Args:
        folder: with its ``config.json``.
        embodiment: the robot that it was trained with.
        cameras: camera roles in the order of its images; by default as they are called there.
        told: what the folder does not say.
        name: what to call the policy.

    Raises:
        MissingInformation: something of ``told`` is needed, and is not there.
        CheckpointError: a file is missing or damaged, or the network is another one; another version is named.
        EmbodimentMismatch: it does not fit the robot.
    """
    folder = Path(folder)
    config = read_json(folder / CONFIG_FILE)
    require_n1_5(config, str(folder / CONFIG_FILE))
    read = _read_lerobot if config.get("type") == "groot" else _read_nvidia
    network, outside, weights = read(folder, config, told)
    roles = _roles(folder, list(outside.images), cameras, embodiment)
    spec = PolicySpec(
        cameras=dict(zip(roles, outside.images.values(), strict=True)),
        proprioception=("qpos",),
        action_horizon=outside.action_horizon,
    )
    spec.require_sizes(embodiment, *outside.sizes, str(folder))
    policy = PolicyConfig(
        schema="vla/policy/1",
        name=name,
        family="groot",
        network=configuration.to_mapping(network),
        spec=spec,
        normalisation={**dict.fromkeys(roles, _SIGLIP), "qpos": outside.state, ACTION: outside.action},
        provenance=Provenance(created=provenance.now(), source=str(folder), versions=provenance.versions()),
        embodiment=embodiment,
    )
    return Checkpoint(policy, weights)


def _read_nvidia(
    folder: Path, config: Mapping[str, Any], told: GrootTold
) -> tuple[GrootConfig, _Outside, dict[str, Tensor]]:
    metadata = Metadata(folder, told.embodiment_tag)
    modes = {"": told.mode, **told.modes}
    state = metadata.normalisation("state", told.state_keys, modes)
    action = metadata.normalisation("action", told.action_keys, modes)
    row = EMBODIMENTS.get(metadata.tag) if told.embodiment_row is None else told.embodiment_row
    if row is None:
        raise CheckpointError(
            f"{metadata.where}: expected the embodiment {choice(EMBODIMENTS)}, or embodiment_row, found '{metadata.tag}'"
        )
    settings = head_settings(config, str(folder / CONFIG_FILE))
    network, weights = _network(folder, settings, told, {"embodiment": row})
    sizes = (state.size or 0, action.size or 0)
    return network, _Outside(metadata.image_sizes(), state, action, network.head.horizon, sizes), weights


def _read_lerobot(
    folder: Path, config: Mapping[str, Any], told: GrootTold
) -> tuple[GrootConfig, _Outside, dict[str, Tensor]]:
    settings = LeRobotSettings.read(folder, config)
    others = {
        "embodiment": settings.embodiment,
        "default_prompt": "Perform the task.",
        "image_crop": 1.0,
        "image_resize": "bicubic",
    }
    network, weights = _network(folder, None, told, others)
    horizon = min(settings.chunk_size, network.head.horizon)
    outside = _Outside(settings.images, settings.state, settings.action, horizon, settings.sizes)
    return network, outside, weights


def _network(
    folder: Path, head: Mapping[str, Any] | None, told: GrootTold, others: Mapping[str, Any]
) -> tuple[GrootConfig, dict[str, Tensor]]:
    """The network's settings, the head's by default as the shapes say, and its weights."""
    where = str(folder)
    weights = by_our_names(read_shards(folder))
    if head is None:
        head = head_sizes(weights, where)
    else:
        require_layers(head, weights, where)
    settings = {**head, **decoder_sizes(weights, where)}
    eagle = configuration.to_mapping(eagle_config(weights, where))
    if told.tokenizer:
        eagle["image_token"] = image_token(read_tokenizer(told.tokenizer))
    data = {
        "eagle": eagle,
        "head": settings | {"pad_noise": told.pad_noise},
        "tokenizer": told.tokenizer,
        **others,
    }
    return config_of_foreign(GrootConfig, data, where), weights


def _roles(folder: Path, images: Sequence[str], cameras: Sequence[str], embodiment: Embodiment) -> list[str]:
    roles = list(cameras) or list(images)
    if len(roles) != len(images) or len(set(roles)) != len(roles) or not roles:
        raise CheckpointError(f"{folder}: expected a camera role for each of {list(images)}, found {roles}")
    missing = [role for role in roles if role not in embodiment.cameras]
    if missing:
        raise EmbodimentMismatch(
            f"{folder} needs the camera '{missing[0]}'; '{embodiment.name}' has {choice(embodiment.cameras)}: expected one of "
            f"them for each of its images {list(images)}"
        )
    return roles
