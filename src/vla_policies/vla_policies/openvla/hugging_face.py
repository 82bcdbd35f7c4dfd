"""Checkpoints of openvla/openvla and moojink/openvla-oft: a folder in the manner of Hugging Face, with OFT's files beside it.

::

    config.json                               what the network is; norm_stats of OpenVLA
    model-0000k-of-0000n.safetensors, index   the network; LoRA is merged into it already
    dataset_statistics.json                   how OFT's inputs and outputs are normalised
    <part>--<step>_checkpoint.pt              action_head, proprio_projector, noisy_action_projector; vision_backbone with FiLM
    lora_adapter/                             the changes alone: used only where the network itself is not there
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from vla_core import config as configuration
from vla_core.embodiment import Embodiment
from vla_core.errors import CheckpointError
from vla_policies import provenance
from vla_policies.checkpoint import Checkpoint, PolicyConfig, Provenance
from vla_policies.errors import MissingInformation
from vla_policies.formats.json_file import read_json
from vla_policies.formats.shards import has_shards, read_shards, shard_files
from vla_policies.normalisation import IMAGENET, Normalisation
from vla_policies.openvla.config import OpenVlaConfig
from vla_policies.openvla.lora import merged, require_plain
from vla_policies.openvla.shapes import hyper_parameters, sizes
from vla_policies.openvla.side_files import VISION_BACKBONE, read_side_files
from vla_policies.openvla.statistics import Bounds, action_normalisation, choose_dataset, proprio_normalisation
from vla_policies.pipeline import ACTION
from vla_policies.spec import PolicySpec, image_size, require_action_space
from vla_policies.weights import read_weights

CONFIG_FILE = "config.json"
STATISTICS_FILE = "dataset_statistics.json"
PREPROCESSOR_FILE = "preprocessor_config.json"
TOKENIZER_FILE = "tokenizer.json"
ADAPTER_FOLDER = "lora_adapter"
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"

_COMPUTED = ".rotary_emb.inv_freq"  # old transformers kept these


@dataclass(frozen=True)
class OpenVlaTold:
    """What such a folder does not say.

    Attributes:
        action_horizon: actions of a chunk; 1 is known of OpenVLA, which has none of OFT's files.
        bounds: which statistics actions are normalised with: ``bounds_q99`` of LIBERO and BRIDGE, ``bounds`` of ALOHA.
        centre_crop: whether it was trained with random crops (``--image_aug True``, as all of LIBERO's were); without OFT, not.
        dataset: the ``unnorm_key``, if there are statistics of several data sets.
        base: the folder of the network that a folder of mere changes (``lora_adapter``) belongs to.
        action_space: what its actions are; by default changes of the tool's pose if they are six numbers and a gripper that is
            not normalised, as those of all data but ALOHA's, else joint positions.
    """

    action_horizon: int | None = None
    bounds: Bounds | None = None
    centre_crop: bool | None = None
    dataset: str = ""
    base: Path | None = None
    action_space: Literal["joint_position", "tcp_delta"] | None = None


def is_openvla(folder: Path) -> bool:
    """Whether the folder holds such a checkpoint, or a mere adapter of one."""
    if (folder / CONFIG_FILE).is_file():
        return read_json(folder / CONFIG_FILE).get("model_type") == "openvla"
    return (folder / ADAPTER_FOLDER / ADAPTER_CONFIG).is_file()


def weights_file(folder: Path) -> Path:
    """The file that stands for the weights: the first of the network's, or that of a mere adapter. Raises CheckpointError."""
    return shard_files(folder)[0] if has_shards(folder) else folder / ADAPTER_FOLDER / ADAPTER_WEIGHTS


def read_openvla(
    folder: Path | str,
    embodiment: Embodiment,
    cameras: Sequence[str],
    told: OpenVlaTold = OpenVlaTold(),
    name: str = "openvla",
) -> Checkpoint:
    """Reads a checkpoint of OpenVLA or OpenVLA-OFT.

    Args:
        folder: the checkpoint.
        embodiment: the robot that it was trained with.
        cameras: roles in the order of its images: third person, then wrist, or high, left wrist, right wrist.
        told: what it does not say.
        name: what to call the policy.

    Raises:
        MissingInformation: something is not said by the folder and not told either.
        CheckpointError: a file is missing or damaged, or the checkpoint has something that is not supported.
        EmbodimentMismatch: it does not fit the robot.
    """
    folder = Path(folder)
    where = str(folder)
    if not cameras or len(set(cameras)) != len(cameras):
        raise MissingInformation(
            f"{where}: expected the roles of its cameras in its order, each once, found {list(cameras)}"
        )
    config_json = _config(folder, told)
    weights = _weights(folder, told)
    network = hyper_parameters(
        config_json, weights, _tokenizer(folder), told.action_horizon, bool(told.centre_crop), where
    )
    horizon, bounds = _require_told(network, weights, told, where)
    dataset = _dataset(folder, config_json, told)
    actions = action_normalisation(dataset, bounds, where)
    require_action_space(embodiment, told.action_space or _action_space(actions), where)
    state_dim, action_dim = sizes(weights, actions, where)
    spec = PolicySpec(
        cameras={role: image_size(embodiment, role, where) for role in cameras},
        proprioception=("qpos",),
        action_horizon=horizon,
    )
    spec.require_sizes(embodiment, state_dim or len(spec.state_names(embodiment)), action_dim, where)
    state = proprio_normalisation(dataset, bounds, where) if network.use_proprio else Normalisation("identity")
    return Checkpoint(
        PolicyConfig(
            schema="vla/policy/1",
            name=name,
            family="openvla",
            network=configuration.to_mapping(network),
            spec=spec,
            normalisation={**dict.fromkeys(cameras, IMAGENET), "qpos": state, ACTION: actions},
            provenance=Provenance(created=provenance.now(), source=where, versions=provenance.versions()),
            embodiment=embodiment,
        ),
        weights,
    )


def _weights(folder: Path, told: OpenVlaTold) -> dict[str, Tensor]:
    """All tensors by our names: the network's with LoRA merged, and those of the side files."""
    adapter = folder / ADAPTER_FOLDER
    adapter_config = adapter / ADAPTER_CONFIG
    alpha = require_plain(read_json(adapter_config), str(adapter_config)) if adapter_config.is_file() else None
    if alpha is None or has_shards(folder):
        weights = read_shards(folder)
    else:
        weights = read_shards(_base(folder, told))
        weights = merged(weights, read_weights(adapter / ADAPTER_WEIGHTS), alpha, str(adapter))
    weights = {key: tensor for key, tensor in weights.items() if not key.endswith(_COMPUTED)}
    beside = read_side_files(folder, alpha)
    if any(key.startswith(f"{VISION_BACKBONE}.") for key in beside):  # the whole of it, with FiLM
        weights = {key: tensor for key, tensor in weights.items() if not key.startswith(f"{VISION_BACKBONE}.")}
    return weights | beside


def _base(folder: Path, told: OpenVlaTold) -> Path:
    if told.base is None:
        raise MissingInformation(
            f"{folder}: holds the changes of {ADAPTER_FOLDER} and not the network; expected the folder of the network that they "
            "were trained on as its base"
        )
    return told.base


def _config(folder: Path, told: OpenVlaTold) -> Mapping[str, Any]:
    mere_changes = not (folder / CONFIG_FILE).is_file() and (folder / ADAPTER_FOLDER / ADAPTER_CONFIG).is_file()
    path = (_base(folder, told) if mere_changes else folder) / CONFIG_FILE
    data = read_json(path)
    kind = data.get("model_type")
    if kind != "openvla":
        raise CheckpointError(f"{path}: model_type: expected 'openvla', found {kind!r}")
    preprocessor = folder / PREPROCESSOR_FILE
    strategy = read_json(preprocessor).get("image_resize_strategy") if preprocessor.is_file() else None
    if strategy not in (None, "resize-naive"):
        raise CheckpointError(f"{preprocessor}: image_resize_strategy: expected 'resize-naive', found {strategy!r}")
    return data


def _require_told(
    network: OpenVlaConfig, weights: Mapping[str, Tensor], told: OpenVlaTold, where: str
) -> tuple[int, Bounds]:
    """Horizon and normalisation. Of OpenVLA without OFT both are known."""
    if network.head == "autoregressive":
        return told.action_horizon or 1, told.bounds or "bounds_q99"
    asked = {
        "the number of actions in a chunk (8 of LIBERO, 25 of ALOHA, 5 of BRIDGE)": told.action_horizon,
        "whether it was trained with 'bounds_q99' (LIBERO, BRIDGE) or 'bounds' (ALOHA)": told.bounds,
        "whether it was trained with random crops (image_aug)": told.centre_crop,
    }
    missing = [question for question, answer in asked.items() if answer is None]
    if missing or told.action_horizon is None or told.bounds is None:
        raise MissingInformation(
            f"{where}: a checkpoint of OpenVLA-OFT does not say everything; expected " + ", ".join(missing)
        )
    return told.action_horizon, told.bounds


def _dataset(folder: Path, config_json: Mapping[str, Any], told: OpenVlaTold) -> Mapping[str, Any]:
    path = folder / STATISTICS_FILE
    if path.is_file():
        return choose_dataset(read_json(path), told.dataset, str(path))
    if config_json.get("norm_stats"):
        return choose_dataset(config_json["norm_stats"], told.dataset, f"{folder / CONFIG_FILE}: norm_stats")
    raise CheckpointError(f"{folder}: expected {STATISTICS_FILE}, or norm_stats in {CONFIG_FILE}; found neither")


def _action_space(actions: Normalisation) -> str:
    """As the mask of the actions tells."""
    assert actions.stats is not None
    return "tcp_delta" if actions.stats.mask == (True,) * 6 + (False,) else "joint_position"


def _tokenizer(folder: Path) -> str:
    return str(folder / TOKENIZER_FILE) if (folder / TOKENIZER_FILE).is_file() else ""
