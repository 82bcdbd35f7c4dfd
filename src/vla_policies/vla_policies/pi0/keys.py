"""From the names in published checkpoints of pi0 and pi0.5 to those of our network, and from its tensors' shapes to its sizes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vla_core.errors import CheckpointError

_OURS = "model."
_TOWERS = "paligemma_with_expert."
_VISION = f"{_TOWERS}paligemma.model.vision_tower.vision_model."
_LANGUAGE = f"{_TOWERS}paligemma.model.language_model."
_EXPERT = f"{_TOWERS}gemma_expert.model."
_TABLE, _HEAD = f"{_LANGUAGE}embed_tokens.weight", f"{_TOWERS}paligemma.lm_head.weight"
_ADAPTIVE = f"{_EXPERT}norm.dense.weight"
_PLAIN_NORM = re.compile(re.escape(_EXPERT) + r"(layers\.\d+\.\w+_layernorm|norm)\.weight")
_OLD_TREE = re.compile(r"(model\.)?paligemma_with_expert\.paligemma\.(language_model\.model|vision_tower)\.")

HEADS = 8  # of Gemma, which the references have fixed
VISION_HEADS = 16  # of SigLIP So400m


def from_published(weights: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """Weights by the names of ``Pi0PolicyNetwork``.

    Args:
        weights: by openpi's names, or by LeRobot's, which begin with ``model.``.
        where: the checkpoint, for errors.

    Raises:
        CheckpointError: they are of another architecture, or contradict each other.
    """
    _require_known(weights, where)
    named = {_current(name): tensor for name, tensor in weights.items()}
    if is_pi05(named):
        # such norms follow the time, and have no weights of their own that could have an effect
        named = {name: tensor for name, tensor in named.items() if not _PLAIN_NORM.fullmatch(name)}
    else:
        named = {re.sub(r"^time_mlp_", "action_time_mlp_", name): tensor for name, tensor in named.items()}
    # tied, so safetensors may have kept only one of them
    for name, other in ((_TABLE, _HEAD), (_HEAD, _TABLE)):
        if name not in named and other in named:
            named[name] = named[other]
    if _TABLE in named and not torch.equal(named[_TABLE], named[_HEAD]):
        raise CheckpointError(
            f"{where}: expected {_HEAD} to be the same as {_TABLE}, to which it is tied, found another one"
        )
    return {_OURS + name: tensor for name, tensor in named.items()}


def is_pi05(weights: Mapping[str, Tensor]) -> bool:
    """Whether weights by openpi's or our names are of pi0.5: neither its folder nor its ``config.json`` says so."""
    return _ADAPTIVE in weights or _OURS + _ADAPTIVE in weights


def sizes(weights: Mapping[str, Tensor], where: str, vision_heads: int = VISION_HEADS) -> dict[str, Any]:
    """Hyper-parameters that the shapes of weights by our names say.

    Raises:
        CheckpointError: a tensor that says something is missing, or of another number of dimensions.
    """
    shape = _Shapes(weights, where)
    width, _, patch, _ = shape(f"{_VISION}embeddings.patch_embedding.weight", 4)
    patches = shape(f"{_VISION}embeddings.position_embedding.weight", 2)[0]
    vision = {
        "width": width,
        "depth": _count(weights, f"{_OURS}{_VISION}encoder.layers."),
        "mlp_dim": shape(f"{_VISION}encoder.layers.0.mlp.fc1.weight", 2)[0],
        "heads": vision_heads,
        "patch": patch,
        "image": patch * round(patches**0.5),
    }
    return {
        "vlm": shape.gemma(_LANGUAGE),
        "expert": shape.gemma(_EXPERT),
        "vision": vision,
        "vocabulary": shape(_TABLE, 2)[0],
        "action_dim": shape("action_in_proj.weight", 2)[1],
    }


class _Shapes:
    """Shapes of tensors by openpi's names."""

    def __init__(self, weights: Mapping[str, Tensor], where: str) -> None:
        self._weights, self._where = weights, where

    def __call__(self, name: str, dimensions: int) -> tuple[int, ...]:
        found = self._weights.get(_OURS + name)
        if found is None:
            raise CheckpointError(f"{self._where}: expected the weights of pi0 or pi0.5, found none for '{name}'")
        if found.dim() != dimensions:
            raise CheckpointError(
                f"{self._where}: {name}: expected {dimensions} dimensions, found the shape {tuple(found.shape)}"
            )
        return tuple(found.shape)

    def gemma(self, stack: str) -> dict[str, int]:
        query, width = self(f"{stack}layers.0.self_attn.q_proj.weight", 2)
        head_dim = max(1, query // HEADS)
        return {
            "width": width,
            "depth": _count(self._weights, f"{_OURS}{stack}layers."),
            "mlp_dim": self(f"{stack}layers.0.mlp.gate_proj.weight", 2)[0],
            "heads": HEADS,
            "kv_heads": max(1, self(f"{stack}layers.0.self_attn.k_proj.weight", 2)[0] // head_dim),
            "head_dim": head_dim,
        }


def _require_known(weights: Mapping[str, Tensor], where: str) -> None:
    old = next((name for name in weights if _OLD_TREE.match(name)), None)
    if old is not None:
        raise CheckpointError(
            f"{where}: expected the modules of openpi, as LeRobot has them since 0.4, found '{old}' of an older LeRobot; "
            "its own converter makes a newer one of it"
        )
    lora = next((name for name in weights if "lora_" in name), None)
    if lora is not None:
        raise CheckpointError(
            f"{where}: expected whole weights, found changes of them (LoRA): '{lora}'; merge them first"
        )


def _current(name: str) -> str:
    """The name in openpi of what LeRobot, a compiled network, or a newer transformers calls otherwise."""
    name = name.replace("_orig_mod.", "")
    name = name.removeprefix(_OURS) if name.startswith(_OURS) else name
    return re.sub(r"\.vision_tower\.(?!vision_model\.)", ".vision_tower.vision_model.", name)


def _count(weights: Mapping[str, Tensor], prefix: str) -> int:
    numbers = {name.removeprefix(prefix).partition(".")[0] for name in weights if name.startswith(prefix)}
    return max(1, len(numbers))
