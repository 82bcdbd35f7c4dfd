"""Published checkpoints of CrossFormer, and those that were fine-tuned from them: the folder that the reference writes.

::

    config.json                  the network, by classes and their arguments, and how its data were prepared
    dataset_statistics.json      {dataset: {action: {mean, std, mask ...}, proprio_...}}; of one data set also without its name
    example_batch.msgpack        shapes of the observations; not needed
    <step>/default/checkpoint    all parameters, one msgpack file (``formats/flax_msgpack.py``)

Such a policy acts for many robots, so whoever reads it says which of them this one is: head, data set and cameras.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vla_core import config as configuration
from vla_core.embodiment import Embodiment
from vla_core.errors import CheckpointError, EmbodimentMismatch, choice
from vla_policies import provenance
from vla_policies.checkpoint import Checkpoint, PolicyConfig, Provenance
from vla_policies.crossformer.config import CrossFormerConfig
from vla_policies.crossformer.keys import from_flax
from vla_policies.crossformer.language import embeddings_from
from vla_policies.crossformer.published_config import Published, read_model
from vla_policies.crossformer.published_statistics import read_statistics
from vla_policies.errors import MissingInformation
from vla_policies.formats.flax_msgpack import read_arrays
from vla_policies.formats.json_file import read_json
from vla_policies.normalisation import Normalisation, NormStats
from vla_policies.pipeline import ACTION
from vla_policies.spec import ImageSize, PolicySpec, require_action_space
from vla_policies.weights import require_finite

CONFIG_FILE = "config.json"
_PARAMETERS = Path("default") / "checkpoint"
_OCDBT = Path("default") / "manifest.ocdbt"

_CELL_PX = 32  # of the encoder's feature map, whose cells are the tokens
_PIXELS = Normalisation("act_mean_std", NormStats(mean=(0.5,) * 3, std=(0.5,) * 3))  # 0 to 1 becomes -1 to 1

# what the actions of the published heads are; heads that were made in fine-tuning are taken at their word
_ACTION_KINDS = {
    "bimanual": "joint_position",
    "single_arm": "tcp_delta",
    "nav": "base_waypoints",
    "quadruped": "joint_position",
}


@dataclass(frozen=True)
class CrossFormerTold:
    """What such a folder does not say: which of its robots it acts for.

    Attributes:
        head: the readout head.
        state: the group of tokens that the robot's position goes to; empty: to none.
        dataset: whose statistics, if there are those of several data sets.
        language: for cameras that are conditioned on it: a file of embeddings, or an encoder for the file ``instructions``; see
            ``language.embeddings_from``. The policy keeps the embeddings.
        instructions: see there.
        history: observations that it sees when it acts; by default as its settings say (``window_size``), else one.
        goals: file of the goal's image by image group.
    """

    head: str = ""
    state: str = ""
    dataset: str = ""
    language: str = ""
    instructions: str = ""
    history: int | None = None
    goals: Mapping[str, str] = field(default_factory=dict)


def is_crossformer(path: Path | str) -> bool:
    """Whether it is a folder that the reference wrote, or that of one of its steps."""
    path = Path(path)
    return any(
        (folder / CONFIG_FILE).is_file() and isinstance(read_json(folder / CONFIG_FILE).get("model"), dict)
        for folder in (path, path.parent)
        if parameters_file(path) is not None
    )


def parameters_file(path: Path | str) -> Path | None:
    """The file with the parameters in a checkpoint's folder, of its last step, or in the folder of one step; None: none there."""
    path = Path(path)
    if (path / _PARAMETERS).is_file():
        return path / _PARAMETERS
    steps = [int(entry.name) for entry in path.iterdir() if entry.name.isdigit()] if path.is_dir() else []
    for step in sorted(steps, reverse=True):
        if (path / str(step) / _PARAMETERS).is_file():
            return path / str(step) / _PARAMETERS
        if (path / str(step) / _OCDBT).is_file():
            raise CheckpointError(
                f"{path / str(step)}: expected the parameters in one file, '{_PARAMETERS}', found orbax's newer layout with "
                f"'{_OCDBT.name}', which is not supported"
            )
    return None


def read_crossformer(
    path: Path | str,
    embodiment: Embodiment,
    cameras: Sequence[str],
    told: CrossFormerTold = CrossFormerTold(),
    name: str = "crossformer",
) -> Checkpoint:
    """Reads a checkpoint for one robot.

    Args:
        path: its folder, or that of one of its steps.
        embodiment: the robot.
        cameras: which camera each of its image groups is, as ``group=role``, for example ``primary=scene``. Other groups are
            left out.
        told: which of the checkpoint's robots this one is.
        name: what to call the policy.

    Raises:
        CheckpointError: a file is missing or damaged, or the policy has something that is not supported.
        MissingInformation: it must be told more.
        EmbodimentMismatch: it does not fit the robot.
    """
    file = parameters_file(path)
    if file is None:
        raise CheckpointError(f"{path}: expected the parameters of a step in '<step>/{_PARAMETERS}', found none")
    folder = file.parents[2]
    settings = read_json(folder / CONFIG_FILE)
    weights = {name: value.float() for name, value in from_flax(read_arrays(file)).items()}
    require_finite(weights, str(file))
    published = read_model(settings, weights, str(folder / CONFIG_FILE))
    where = str(path)
    roles = _roles(published, cameras, embodiment, where)
    _require_robot(published, told, embodiment, where)
    normalisation = read_statistics(folder, settings, told.dataset)
    embeddings = embeddings_from(told.language, told.instructions) if told.language else {}
    network = _network(published, told, list(roles), embeddings, _history(settings, told), where)
    if embeddings:
        weights["instruction_table"] = torch.stack(list(embeddings.values()))
    spec = PolicySpec(
        cameras={role: _image_size(published, group, where) for group, role in roles.items()},
        proprioception=("qpos",),
        action_horizon=published.ends.readouts[told.head].horizon,
    )
    policy = PolicyConfig(
        schema="vla/policy/1",
        name=name,
        family="crossformer",
        network=configuration.to_mapping(network),
        spec=spec,
        normalisation={
            **dict.fromkeys(roles.values(), _PIXELS),
            ACTION: normalisation.of_actions(),
            "qpos": normalisation.of_state(published.keys[told.state]) if told.state else Normalisation("identity"),
        },
        provenance=Provenance(created=provenance.now(), source=where, versions=provenance.versions()),
        embodiment=embodiment,
    )
    return Checkpoint(policy, weights)


def _roles(published: Published, cameras: Sequence[str], embodiment: Embodiment, where: str) -> dict[str, str]:
    """Image group to camera role, in the network's order."""
    groups = published.ends.images
    pairs = dict(camera.partition("=")[::2] for camera in cameras)
    if (
        not pairs
        or not pairs.keys() <= groups.keys()
        or len(pairs) != len(cameras)
        or len(set(pairs.values())) != len(pairs)
    ):
        raise MissingInformation(
            f"{where}: expected cameras as 'group=role', each once, with at least one of the groups {list(groups)}, found "
            f"{list(cameras)}"
        )
    for group, role in pairs.items():
        if role not in embodiment.cameras:
            raise EmbodimentMismatch(
                f"{where}: group '{group}': expected one of the cameras of '{embodiment.name}', "
                f"{choice(embodiment.cameras)}, found '{role}'"
            )
    return {group: pairs[group] for group in groups if group in pairs}


def _require_robot(published: Published, told: CrossFormerTold, embodiment: Embodiment, where: str) -> None:
    """Checks that head and state are of this robot."""
    ends = published.ends
    if told.head not in ends.readouts:
        raise MissingInformation(f"{where}: head: expected {choice(ends.readouts)}, found '{told.head}'")
    if told.state and told.state not in ends.vectors:
        raise MissingInformation(f"{where}: state: expected {choice(ends.vectors)} or none, found '{told.state}'")
    _require_same_actions(published, told.head, embodiment, where)
    if told.state:
        names = embodiment.names_of(embodiment.proprioception["qpos"])
        _require_size("state", ends.vectors[told.state].size, len(names), where)


def _require_same_actions(published: Published, head: str, embodiment: Embodiment, where: str) -> None:
    kind = _ACTION_KINDS.get(head, embodiment.action.kind)
    require_action_space(embodiment, kind, f"{where}: head '{head}'")
    _require_size(
        f"actions of the head '{head}'", published.ends.readouts[head].action_dim, len(embodiment.action_names), where
    )


def _require_size(what: str, found: int, expected: int, where: str) -> None:
    if found != expected:
        raise EmbodimentMismatch(f"{where}: {what}: the robot has {expected} dimensions, it has {found}")


def _history(settings: Mapping[str, Any], told: CrossFormerTold) -> int:
    """As told, or as the data were cut into windows in training."""
    if told.history is not None:
        return told.history
    value: Any = settings
    for key in ("dataset_kwargs", "traj_transform_kwargs", "window_size"):
        value = value.get(key) if isinstance(value, dict) else None
    return value if type(value) is int and value > 0 else 1


def _network(
    published: Published,
    told: CrossFormerTold,
    groups: list[str],
    embeddings: Mapping[str, Tensor],
    history: int,
    where: str,
) -> CrossFormerConfig:
    film = [group for group in groups if published.ends.images[group].film]
    if film and not embeddings:
        raise MissingInformation(
            f"{where}: its image groups {film} are conditioned on language; expected embeddings of instructions (language: a "
            "file, or an encoder), found none"
        )
    size = published.trunk.language_dim
    for instruction, embedding in embeddings.items():
        if embedding.shape != (size,):
            raise CheckpointError(
                f"{told.language}: '{instruction}': expected an embedding of {size} numbers, found the shape "
                f"{tuple(embedding.shape)}"
            )
    try:
        return CrossFormerConfig(
            trunk=published.trunk,
            ends=published.ends,
            cameras=tuple(groups),
            state=told.state or None,
            head=told.head,
            language="table" if embeddings else "none",
            instructions=tuple(embeddings),
            history=history,
            goals=dict(told.goals),
        )
    except ValueError as error:
        raise CheckpointError(f"{where}: {error}") from error


def _image_size(published: Published, group: str, where: str) -> ImageSize:
    """The square image that gives so many tokens."""
    tokens = published.ends.images[group].tokens
    side = math.isqrt(tokens)
    if side * side != tokens:
        raise CheckpointError(f"{where}: group '{group}': expected the tokens of a square image, found {tokens}")
    return ImageSize(width=side * _CELL_PX, height=side * _CELL_PX, resize="lanczos3")
