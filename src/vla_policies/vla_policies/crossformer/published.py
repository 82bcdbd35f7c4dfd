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
from collections.abc import Mapping
from dataclasses import dataclass
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
from vla_policies.crossformer.published_config import Published, read_model
from vla_policies.errors import MissingInformation
from vla_policies.formats.flax_msgpack import read_arrays
from vla_policies.formats.json_file import read_json
from vla_policies.normalisation import Normalisation, NormStats
from vla_policies.pipeline import ACTION
from vla_policies.spec import ImageSize, PolicySpec
from vla_policies.weights import require_finite

CONFIG_FILE = "config.json"
STATISTICS_FILE = "dataset_statistics.json"
_PARAMETERS = Path("default") / "checkpoint"
_OCDBT = Path("default") / "manifest.ocdbt"

_CELL_PX = 32  # of the encoder's feature map, whose cells are the tokens
_PIXELS = Normalisation("act_mean_std", NormStats(mean=(0.5,) * 3, std=(0.5,) * 3))  # 0 to 1 becomes -1 to 1

# what the actions of the published heads are; heads that were made in fine-tuning are taken at their word
_ACTION_KINDS = {
    "bimanual": "joint_position",
    "single_arm": "changes of the end effector's pose",
    "nav": "waypoints in the plane",
    "quadruped": "joint_position",
}
_SCHEMES = {"normal": "crossformer_normal", "bounds": "crossformer_bounds"}


@dataclass(frozen=True)
class Use:
    """Which of its robots a checkpoint acts for.

    Attributes:
        head: the readout head.
        groups: what fills its groups of tokens: camera roles, and a proprioception group. The others are left out.
        dataset: whose statistics; not needed if there is only one.
        embeddings: of instructions (e,), for cameras that are conditioned on language.
    """

    head: str
    groups: Mapping[str, str]
    dataset: str | None
    embeddings: Mapping[str, Tensor]


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


def read_crossformer(path: Path | str, embodiment: Embodiment, use: Use, name: str = "crossformer") -> Checkpoint:
    """Reads a checkpoint for one robot.

    Args:
        path: its folder, or that of one of its steps.
        embodiment: the robot.
        use: which of the checkpoint's robots this one is.
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
    arrays = {path: value.float() for path, value in from_flax(read_arrays(file)).items()}
    require_finite(arrays, str(file))
    published = read_model(settings, arrays, str(folder / CONFIG_FILE))
    where = str(path)
    cameras, state = _groups(published, use, embodiment, where)
    network = _network(published, use, list(cameras), state, where)
    if use.embeddings:
        arrays["instruction_table"] = torch.stack(list(use.embeddings.values()))
    spec = PolicySpec(
        cameras={role: _image_size(published, group, where) for group, role in cameras.items()},
        proprioception=("qpos",),
        action_horizon=published.ends.readouts[use.head].horizon,
    )
    return Checkpoint(
        PolicyConfig(
            schema="vla/policy/1",
            name=name,
            family="crossformer",
            network=configuration.to_mapping(network),
            spec=spec,
            normalisation=_normalisation(settings, published, folder, use, state)
            | dict.fromkeys(cameras.values(), _PIXELS),
            provenance=Provenance(created=provenance.now(), source=where, versions=provenance.versions()),
            embodiment=embodiment,
        ),
        arrays,
    )


def _groups(published: Published, use: Use, embodiment: Embodiment, where: str) -> tuple[dict[str, str], str | None]:
    """Image group to camera role, in the network's order, and the vector group of the state, if any."""
    ends = published.ends
    if use.head not in ends.readouts:
        raise MissingInformation(f"{where}: head: expected {choice(ends.readouts)}, found '{use.head}'")
    for group, filled_by in use.groups.items():
        if group in ends.images and filled_by not in embodiment.cameras:
            raise EmbodimentMismatch(
                f"{where}: group '{group}': expected one of the cameras of '{embodiment.name}', {choice(embodiment.cameras)}, "
                f"found '{filled_by}'"
            )
        if group in ends.vectors and filled_by != "qpos":
            raise EmbodimentMismatch(f"{where}: group '{group}': expected 'qpos', found '{filled_by}'")
        if group not in {**ends.images, **ends.vectors}:
            raise CheckpointError(
                f"{where}: expected groups out of {choice([*ends.images, *ends.vectors])}, found '{group}'"
            )
    cameras = {group: use.groups[group] for group in ends.images if group in use.groups}
    states = [group for group in ends.vectors if group in use.groups]
    if not cameras or len(set(cameras.values())) != len(cameras) or len(states) > 1:
        raise MissingInformation(
            f"{where}: expected for at least one of its image groups {list(ends.images)} a camera of the robot, each once, and "
            f"'qpos' for at most one of {list(ends.vectors)}, found {dict(use.groups)}"
        )
    _require_same_actions(published, use.head, embodiment, where)
    if states:
        _require_size(
            "state", ends.vectors[states[0]].size, len(embodiment.names_of(embodiment.proprioception["qpos"])), where
        )
    return cameras, states[0] if states else None


def _require_same_actions(published: Published, head: str, embodiment: Embodiment, where: str) -> None:
    kind = _ACTION_KINDS.get(head, embodiment.action.kind)
    if kind != embodiment.action.kind:
        raise EmbodimentMismatch(
            f"{where}: the actions of the head '{head}' are {kind}; those of '{embodiment.name}' are {embodiment.action.kind}"
        )
    _require_size(
        f"actions of the head '{head}'", published.ends.readouts[head].action_dim, len(embodiment.action_names), where
    )


def _require_size(what: str, found: int, expected: int, where: str) -> None:
    if found != expected:
        raise EmbodimentMismatch(f"{where}: {what}: the robot has {expected} dimensions, it has {found}")


def _network(published: Published, use: Use, cameras: list[str], state: str | None, where: str) -> CrossFormerConfig:
    film = [group for group in cameras if published.ends.images[group].film]
    if film and not use.embeddings:
        raise MissingInformation(
            f"{where}: its image groups {film} are conditioned on language; expected embeddings of instructions, found none"
        )
    sizes = {tuple(value.shape) for value in use.embeddings.values()}
    if use.embeddings and sizes != {(published.trunk.language_dim,)}:
        raise CheckpointError(
            f"{where}: expected embeddings of {published.trunk.language_dim} numbers, found the shapes {sorted(sizes)}"
        )
    return CrossFormerConfig(
        trunk=published.trunk,
        ends=published.ends,
        cameras=tuple(cameras),
        state=state,
        head=use.head,
        language="table" if use.embeddings else "none",
        instructions=tuple(use.embeddings),
    )


def _image_size(published: Published, group: str, where: str) -> ImageSize:
    """The square image that gives so many tokens."""
    tokens = published.ends.images[group].tokens
    side = math.isqrt(tokens)
    if side * side != tokens:
        raise CheckpointError(f"{where}: group '{group}': expected the tokens of a square image, found {tokens}")
    return ImageSize(width=side * _CELL_PX, height=side * _CELL_PX)


def _normalisation(
    settings: Mapping[str, Any], published: Published, folder: Path, use: Use, state: str | None
) -> dict[str, Normalisation]:
    """Of the actions and of the state, which the data may have left as it is."""
    where = str(folder / STATISTICS_FILE)
    statistics = _dataset(read_json(folder / STATISTICS_FILE), use.dataset, where)
    kind = _find(settings, "action_proprio_normalization_type") or "normal"
    if kind not in _SCHEMES:
        raise CheckpointError(
            f"{folder / CONFIG_FILE}: action_proprio_normalization_type: expected {choice(_SCHEMES)}, found {kind!r}"
        )
    found = {ACTION: _of(statistics, ACTION, kind, where), "qpos": Normalisation("identity")}
    if state is not None and published.keys[state] not in (settings.get("skip_norm_keys") or ()):
        found["qpos"] = _of(statistics, published.keys[state], kind, where)
    return found


def _dataset(statistics: Mapping[str, Any], dataset: str | None, where: str) -> Mapping[str, Any]:
    if ACTION in statistics:
        return statistics
    if dataset is None and len(statistics) == 1:
        dataset = next(iter(statistics))
    if dataset is None or dataset not in statistics:
        raise MissingInformation(f"{where}: dataset: expected {choice(statistics)}, found {dataset!r}")
    return dict(statistics[dataset]) if isinstance(statistics[dataset], dict) else {}


def _of(statistics: Mapping[str, Any], key: str, kind: str, where: str) -> Normalisation:
    found = statistics.get(key)
    wanted = {"mean": "mean", "std": "std"} if kind == "normal" else {"q01": "p01", "q99": "p99"}
    if not isinstance(found, dict) or not all(isinstance(found.get(name), list) for name in wanted.values()):
        there = sorted(found) if isinstance(found, dict) else found
        raise CheckpointError(f"{where}: {key}: expected {choice(list(wanted.values()))}, found {there!r}")
    try:
        numbers = {ours: tuple(float(value) for value in found[theirs]) for ours, theirs in wanted.items()}
        mask = tuple(bool(value) for value in found.get("mask") or ())
        return Normalisation(_SCHEMES[kind], NormStats(**numbers, mask=mask))  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{where}: {key}: {error}") from error


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
