"""Checkpoints of Physical-Intelligence/openpi, converted to PyTorch by its own script.

A folder with ``model.safetensors``, ``config.json`` (few sizes) and ``assets/<asset>/norm_stats.json``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vla_core.embodiment import Embodiment
from vla_core.errors import CheckpointError, choice
from vla_policies import provenance
from vla_policies.checkpoint import Checkpoint, PolicyConfig, Provenance
from vla_policies.formats.json_file import read_json
from vla_policies.normalisation import Normalisation, NormStats
from vla_policies.pi0.config import GEMMAS
from vla_policies.pi0.keys import from_published, is_pi05, sizes
from vla_policies.pi0.told import IMAGES, NOTHING_TOLD, Pi0Told, checked_network
from vla_policies.pipeline import ACTION
from vla_policies.spec import PolicySpec, image_size
from vla_policies.weights import read_weights

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
ASSETS, STATS_FILE = "assets", "norm_stats.json"
CAMERAS = ("base_0_rgb", "left_wrist_0_rgb", "right_wrist_0_rgb")
_VARIANTS = {"vlm": "paligemma_variant", "expert": "action_expert_variant"}
_STATISTICS = ("mean", "std", "q01", "q99")


def is_openpi(folder: Path) -> bool:
    """Whether the folder holds such a checkpoint, converted or not."""
    if not (folder / CONFIG_FILE).is_file():
        return _is_jax(folder)
    config = read_json(folder / CONFIG_FILE)
    return "action_expert_variant" in config and "type" not in config  # LeRobot's have a type


def read_openpi(
    folder: Path | str,
    embodiment: Embodiment,
    cameras: Sequence[str],
    told: Pi0Told = NOTHING_TOLD,
    name: str = "pi0",
) -> Checkpoint:
    """Reads a checkpoint.

    Args:
        folder: the checkpoint.
        embodiment: the robot that it was trained with; its actions and positions are in the checkpoint's order and units.
        cameras: roles for base, left wrist and right wrist, in this order; one that was masked is left out.
        told: what the checkpoint does not say.
        name: what to call the policy.

    Raises:
        MissingInformation: something is not told.
        CheckpointError: a file is missing or damaged, or the parts do not fit each other.
        EmbodimentMismatch: it does not fit the robot.
    """
    folder = Path(folder)
    where = str(folder)
    if _is_jax(folder):
        raise CheckpointError(
            f"{where}: expected {WEIGHTS_FILE}, found the JAX checkpoint of openpi; its "
            "examples/convert_jax_model_to_pytorch.py makes the other of it"
        )
    config = read_json(folder / CONFIG_FILE)
    weights = from_published(read_weights(folder / WEIGHTS_FILE), where)
    pi05 = is_pi05(weights)
    told.require(
        where,
        tokenizer="the file paligemma_tokenizer.model",
        action_reference="whether its actions are absolute or relative to qpos",
        **({"state_input": "whether its prompt tells the state (text) or not (none, as pi05_libero)"} if pi05 else {}),
    )
    if not 1 <= len(cameras) <= len(CAMERAS) or len(set(cameras)) != len(cameras):
        raise CheckpointError(f"{where}: expected one to three cameras, for {list(CAMERAS)}, found {list(cameras)}")
    spec = PolicySpec(
        cameras={role: image_size(embodiment, role, where) for role in cameras},
        proprioception=("qpos",),
        action_horizon=_count(config, "action_horizon", folder),
        action_reference=told.action_reference or "absolute",
        absolute_actions=told.absolute_actions,
    )
    family = "pi05" if pi05 else "pi0"
    return Checkpoint(
        PolicyConfig(
            schema="vla/policy/1",
            name=name,
            family=family,
            network=checked_network(family, _network(weights, config, told, folder), where),
            spec=spec,
            normalisation={**dict.fromkeys(cameras, IMAGES), **_normalisation(folder, embodiment, told.asset, pi05)},
            provenance=Provenance(created=provenance.now(), source=where, versions=provenance.versions()),
            embodiment=embodiment,
        ),
        weights,
    )


def _is_jax(folder: Path) -> bool:
    return (folder / "params").is_dir() and not (folder / WEIGHTS_FILE).is_file()


def _network(weights: Mapping[str, Any], config: Mapping[str, Any], told: Pi0Told, folder: Path) -> dict[str, object]:
    found = sizes(weights, str(folder), told.vision_heads)
    action_dim = _count(config, "action_dim", folder)
    if action_dim != found["action_dim"]:
        raise CheckpointError(
            f"{folder / CONFIG_FILE}: action_dim: expected {found['action_dim']} as of the weights, found {action_dim}"
        )
    for part, key in _VARIANTS.items():
        gemma = GEMMAS.get(str(config.get(key)))
        if gemma is not None and any(getattr(gemma, size) != value for size, value in found[part].items()):
            raise CheckpointError(f"{folder / CONFIG_FILE}: {key}: expected {gemma}, found weights of {found[part]}")
    settings = {**found, "tokenizer": str(told.tokenizer), "default_prompt": told.default_prompt}
    if told.state_input is not None and is_pi05(weights):
        settings["state_input"] = told.state_input
    return settings


def _count(config: Mapping[str, Any], key: str, folder: Path) -> int:
    value = config.get(key)
    if type(value) is not int or value < 1:
        raise CheckpointError(f"{folder / CONFIG_FILE}: {key}: expected a whole number above 0, found {value!r}")
    return value


def _normalisation(folder: Path, embodiment: Embodiment, asset: str, pi05: bool) -> dict[str, Normalisation]:
    path = _stats_file(folder, asset)
    data = read_json(path).get("norm_stats")
    if not isinstance(data, dict):
        raise CheckpointError(f"{path}: expected the key 'norm_stats', found none")
    dims = {
        "qpos": ("state", len(embodiment.names_of(embodiment.proprioception["qpos"]))),
        ACTION: ("actions", len(embodiment.action_names)),
    }
    scheme = "openpi_quantiles" if pi05 else "openpi_mean_std"
    keys = {}
    for ours, (theirs, size) in dims.items():
        try:
            keys[ours] = Normalisation(scheme, _stats(data.get(theirs), size))  # type: ignore[arg-type]
        except ValueError as error:
            raise CheckpointError(f"{path}: {theirs}: {error}") from error
    return keys


def _stats_file(folder: Path, asset: str) -> Path:
    found = sorted(path.parent for path in (folder / ASSETS).rglob(STATS_FILE))
    names = [str(path.relative_to(folder / ASSETS)) for path in found]
    if asset:
        found = [path for path, its_name in zip(found, names, strict=True) if its_name == asset]
    if len(found) != 1:
        wanted = f"{ASSETS}/{asset or '<asset>'}/{STATS_FILE}, exactly one"
        raise CheckpointError(f"{folder}: expected {wanted}; found the assets {choice(names) if names else 'none'}")
    return found[0] / STATS_FILE


def _stats(data: Any, size: int) -> NormStats:
    """The first values of each statistic: they may be padded as the network's vectors are."""
    if not isinstance(data, dict):
        raise ValueError("expected statistics, found none")
    found = {}
    for name in _STATISTICS:
        values = data.get(name)
        if values is None:
            continue
        if not isinstance(values, list) or not all(isinstance(value, int | float) for value in values):
            raise ValueError(f"{name}: expected a list of numbers, found {type(values).__name__}")
        if len(values) < size:
            raise ValueError(f"{name}: expected at least {size} values, found {len(values)}")
        found[name] = tuple(float(value) for value in values[:size])
    return NormStats(**found)  # type: ignore[arg-type]  # the mask is none of them
