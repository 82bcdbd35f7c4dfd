"""What the ``config.json`` of a published CrossFormer says about its network.

Source: rail-berkeley/crossformer, ``scripts/configs`` and ``model/crossformer_module.py``. Parts of the network are named there
by class, with their arguments. Nothing of that is imported: a class that is known here is taken for what it is, another is
refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from vla_core.errors import CheckpointError, choice
from vla_policies.crossformer.config import Ends, ImageGroup, Readout, Trunk, VectorGroup

_LANGUAGE = "language_instruction"
_LAYER = re.compile(r"transformer\.layers\.(\d+)\.")
_DEFAULT_MAX_ACTION = 5.0
_ENCODERS = {"ResNet26": False, "ResNet26FILM": True}  # whether they take language


@dataclass(frozen=True)
class Published:
    """The network of a checkpoint, and by which names its data had its groups.

    Attributes:
        trunk: sizes.
        ends: groups and heads that there are weights of.
        keys: the observation key of each group, for example ``image_primary``.
    """

    trunk: Trunk
    ends: Ends
    keys: Mapping[str, str]


def read_model(config: Mapping[str, Any], weights: Mapping[str, Tensor], where: str) -> Published:
    """The network that a configuration describes.

    Args:
        config: ``config.json``.
        weights: by our names; what the configuration does not say, their shapes do.
        where: the file, for errors.

    Raises:
        CheckpointError: something is missing, of a class that is not known here, or against what the weights say.
    """
    model = _Settings(_Settings(config, where).mapping("model"), f"{where}: model")
    if model.data.get("task_tokenizers") and model.mapping("task_tokenizers"):
        raise CheckpointError(
            f"{where}: expected a CrossFormer, found a model with task tokenizers, {choice(model.data['task_tokenizers'])}, "
            "such as Octo; Octo is not supported"
        )
    images: dict[str, ImageGroup] = {}
    vectors: dict[str, VectorGroup] = {}
    keys: dict[str, str] = {}
    for group, spec in model.mapping("observation_tokenizers").items():
        kind, settings = _module(
            spec, ("ImageTokenizer", "LowdimObsTokenizer"), f"{where}: observation_tokenizers.{group}"
        )
        count = _tokens(weights, f"positions.{group}")
        if count is None:
            continue  # it was not among the data, so it has no parameters
        if kind == "ImageTokenizer":
            images[group], keys[group] = _image_group(settings, count)
        else:
            vectors[group], keys[group] = _vector_group(settings, count)
    readouts = {
        name: _readout(name, spec, model.mapping("readouts"), f"{where}: heads.{name}")
        for name, spec in model.mapping("heads").items()
    }
    return Published(_trunk(model, weights), Ends(images, vectors, readouts), keys)


def _image_group(settings: _Settings, count: int) -> tuple[ImageGroup, str]:
    key = settings.only("obs_stack_keys")
    goals = settings.names("task_stack_keys")
    if goals not in ([], [key]):
        raise settings.error("task_stack_keys", f"none or ['{key}']", goals)
    languages = settings.names("task_film_keys")
    if languages not in ([], [_LANGUAGE]):
        raise settings.error("task_film_keys", f"none or ['{_LANGUAGE}']", languages)
    encoder, _ = _module(settings.data.get("encoder"), tuple(_ENCODERS), f"{settings.where}.encoder")
    if _ENCODERS[encoder] != bool(languages):
        raise settings.error("encoder", "one with FILM exactly with task_film_keys", encoder)
    settings.require("use_token_learner", False)
    return ImageGroup(goal=bool(goals), film=bool(languages), tokens=count), key


def _vector_group(settings: _Settings, count: int) -> tuple[VectorGroup, str]:
    settings.require("discretize", False)
    return VectorGroup(count, dropout=float(settings.number("dropout_rate", 0.0))), settings.only("obs_keys")


def _readout(name: str, spec: object, tokens: Mapping[str, Any], where: str) -> Readout:
    _, settings = _module(spec, ("L1ActionHead",), where)
    horizon, action_dim = (settings.count(key) for key in ("action_horizon", "action_dim"))
    settings.require("readout_key", f"readout_{name}")
    settings.require("pool_strategy", "pass", "mean")
    settings.require("num_preds", action_dim)
    if tokens.get(name) != horizon:
        raise settings.error("action_horizon", f"as many as its readouts ({tokens.get(name)!r})", horizon)
    squashed = settings.data.get("clip_pred", True)
    max_action = float(settings.number("max_action", _DEFAULT_MAX_ACTION))
    return Readout(horizon, action_dim, max_action if squashed else None)


def _trunk(model: _Settings, weights: Mapping[str, Tensor]) -> Trunk:
    sizes = _Settings(model.mapping("transformer_kwargs"), f"{model.where}.transformer_kwargs")
    sizes.require("repeat_pos_enc", True, False)
    layers = sizes.count("num_layers")
    numbers = [int(match[1]) for match in map(_LAYER.match, weights) if match]
    found = 1 + max(numbers, default=-1)
    if layers != found:
        raise sizes.error("num_layers", f"as many as there are weights of ({found})", layers)
    languages = [value.shape[-1] for name, value in weights.items() if name.endswith(".film.0.scale.weight")]
    try:
        return Trunk(
            token_dim=model.count("token_embedding_size"),
            layers=layers,
            mlp_dim=sizes.count("mlp_dim"),
            heads=sizes.count("num_attention_heads"),
            dropout=float(sizes.number("dropout_rate", 0.1)),
            max_horizon=model.count("max_horizon"),
            language_dim=languages[0] if languages else Trunk.language_dim,
        )
    except ValueError as error:
        raise CheckpointError(f"{model.where}: {error}") from error


def _tokens(weights: Mapping[str, Tensor], position: str) -> int | None:
    """Tokens of a group at one time step, by its position embedding (1, T, n, d)."""
    if position not in weights:
        return None
    shape = tuple(weights[position].shape)
    if len(shape) != 4 or shape[2] < 1:
        raise CheckpointError(
            f"{position}: expected a position embedding (1, steps, tokens, width), found the shape {shape}"
        )
    return shape[2]


def _module(spec: object, known: tuple[str, ...], where: str) -> tuple[str, _Settings]:
    """The class that a part is named by, and its arguments."""
    name = spec.get("name") if isinstance(spec, dict) else None
    if not isinstance(spec, dict) or name not in known:
        raise CheckpointError(f"{where}: expected {choice(known)}, found {name!r}; another one is not supported")
    return str(name), _Settings(_Settings(spec, where).mapping("kwargs"), where)


@dataclass(frozen=True)
class _Settings:
    """A part of the configuration, and where it stands."""

    data: Mapping[str, Any]
    where: str

    def mapping(self, key: str) -> Mapping[str, Any]:
        value = self.data.get(key)
        if not isinstance(value, dict):
            raise self.error(key, "names with values", value)
        return value

    def count(self, key: str) -> int:
        value = self.data.get(key)
        if type(value) is not int or value < 1:
            raise self.error(key, "a whole number above 0", value)
        return value

    def number(self, key: str, default: float) -> float:
        value = self.data.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.error(key, "a number", value)
        return value

    def names(self, key: str) -> list[str]:
        value = self.data.get(key, [])
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise self.error(key, "a list of names", value)
        return value

    def only(self, key: str) -> str:
        value = self.names(key)
        if len(value) != 1:
            raise self.error(key, "one name", value)
        return value[0]

    def require(self, key: str, expected: object, default: object = None) -> None:
        """Another value makes another network; ``default`` is what is meant if there is none, None: what is expected."""
        value = self.data.get(key, expected if default is None else default)
        if value != expected:
            raise self.error(key, repr(expected), value)

    def error(self, key: str, expected: str, found: object) -> CheckpointError:
        return CheckpointError(f"{self.where}.{key}: expected {expected}, found {found!r}")
