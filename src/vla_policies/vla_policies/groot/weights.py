"""The weights of GR00T N1.5 as checkpoints keep them, and what their shapes say about the network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vla_core.errors import CheckpointError
from vla_policies.groot.config import EagleConfig, Qwen3Shape
from vla_policies.pi0.config import SiglipShape

LEROBOT_PREFIX = "_groot_model."

_EAGLE, _HEAD = "backbone.eagle_model.", "action_head."
_VISION, _LANGUAGE = f"{_EAGLE}vision_model.vision_model.", f"{_EAGLE}language_model."
_TABLES = (f"{_LANGUAGE}model.embed_tokens.weight", f"{_LANGUAGE}lm_head.weight")
# what shapes do not say: the numbers of an attention head in SigLIP So400m, in the transformer and over the features
_VISION_HEAD, _DIT_HEAD, _VL_HEAD = 72, 48, 64


def by_our_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights by the names of NVIDIA's checkpoints, complete.

    LeRobot puts a prefix before them, newer versions of transformers leave out one ``vision_model``, a table of tokens that is
    there under two names is stored under one, and SigLIP's pooling, which nothing uses, may not be there.
    """
    found = {_full_name(name): tensor for name, tensor in weights.items()}
    for present, missing in (_TABLES, _TABLES[::-1]):
        if present in found and missing not in found:
            found[missing] = found[present]
    return found | _pooling(found)


def _full_name(name: str) -> str:
    name = name.removeprefix(LEROBOT_PREFIX)
    short = f"{_EAGLE}vision_model."
    return _VISION + name.removeprefix(short) if name.startswith(short) and not name.startswith(_VISION) else name


def _pooling(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Zeros for SigLIP's pooling, if it is not there."""
    norm, wide = (
        weights.get(f"{_VISION}post_layernorm.weight"),
        weights.get(f"{_VISION}encoder.layers.0.mlp.fc1.weight"),
    )
    if f"{_VISION}head.probe" in weights or norm is None or wide is None:
        return {}
    width, mlp = len(norm), len(wide)
    shapes = {
        "probe": (1, 1, width),
        "attention.in_proj_weight": (3 * width, width),
        "attention.in_proj_bias": (3 * width,),
        "attention.out_proj.weight": (width, width),
        "attention.out_proj.bias": (width,),
        "layernorm.weight": (width,),
        "layernorm.bias": (width,),
        "mlp.fc1.weight": (mlp, width),
        "mlp.fc1.bias": (mlp,),
        "mlp.fc2.weight": (width, mlp),
        "mlp.fc2.bias": (width,),
    }
    return {f"{_VISION}head.{name}": torch.zeros(shape, dtype=norm.dtype) for name, shape in shapes.items()}


def eagle_config(weights: Mapping[str, Tensor], where: str) -> EagleConfig:
    """The sizes of the backbone, which no file states. Raises CheckpointError if a tensor that shows them is missing."""
    patches = _shape(weights, f"{_VISION}embeddings.patch_embedding.weight", 4, where)
    positions = _shape(weights, f"{_VISION}embeddings.position_embedding.weight", 2, where)
    tokens, width = _shape(weights, _TABLES[0], 2, where)
    layer = f"{_LANGUAGE}model.layers.0."
    (head_dim,) = _shape(weights, f"{layer}self_attn.q_norm.weight", 1, where)
    try:
        return EagleConfig(
            vision=SiglipShape(
                width=patches[0],
                depth=_count(weights, f"{_VISION}encoder.layers."),
                mlp_dim=_shape(weights, f"{_VISION}encoder.layers.0.mlp.fc1.weight", 2, where)[0],
                heads=max(1, patches[0] // _VISION_HEAD),
                patch=patches[2],
                image=round(positions[0] ** 0.5) * patches[2],
            ),
            language=Qwen3Shape(
                width=width,
                layers=_count(weights, f"{_LANGUAGE}model.layers."),
                heads=_shape(weights, f"{layer}self_attn.q_proj.weight", 2, where)[0] // head_dim,
                kv_heads=_shape(weights, f"{layer}self_attn.k_proj.weight", 2, where)[0] // head_dim,
                head_dim=head_dim,
                mlp_dim=_shape(weights, f"{layer}mlp.gate_proj.weight", 2, where)[0],
                vocabulary=tokens,
            ),
        )
    except (ValueError, ZeroDivisionError) as error:
        raise CheckpointError(
            f"{where}: expected the weights of an Eagle backbone, found other shapes: {error}"
        ) from error


def head_sizes(weights: Mapping[str, Tensor], where: str) -> dict[str, Any]:
    """The sizes of the head, for checkpoints that do not state them. Raises CheckpointError as :func:`eagle_config`."""
    embodiments, state_dim, hidden = _shape(weights, f"{_HEAD}state_encoder.layer1.W", 3, where)
    _, action_dim, token_dim = _shape(weights, f"{_HEAD}action_encoder.W1.W", 3, where)
    backbone_dim = _shape(weights, f"{_HEAD}model.transformer_blocks.0.attn1.to_k.weight", 2, where)[1]
    positions = f"{_HEAD}position_embedding.weight"
    return {
        "embodiments": embodiments,
        "state_dim": state_dim,
        "action_dim": action_dim,
        "hidden_dim": hidden,
        "heads": token_dim // _DIT_HEAD,
        "head_dim": _DIT_HEAD,
        "layers": _count(weights, f"{_HEAD}model.transformer_blocks."),
        "backbone_dim": backbone_dim,
        "vl_norm": f"{_HEAD}vlln.weight" in weights,
        "vl_heads": backbone_dim // _VL_HEAD,
        "vl_layers": _count(weights, f"{_HEAD}vl_self_attention.transformer_blocks.") or 1,
        "future_tokens": _shape(weights, f"{_HEAD}future_tokens.weight", 2, where)[0],
        "positions": _shape(weights, positions, 2, where)[0] if positions in weights else 0,
    }


def decoder_sizes(weights: Mapping[str, Tensor], where: str) -> dict[str, Any]:
    """Which decoders there are: one, or those of arm and claw."""
    if f"{_HEAD}action_arm_decoder.layer2.W" not in weights:
        return {"decoder": "single"}
    return {
        "decoder": "arm_claw",
        "arm_dim": _shape(weights, f"{_HEAD}action_arm_decoder.layer2.W", 3, where)[2],
        "claw_dim": _shape(weights, f"{_HEAD}action_claw_decoder.layer2.W", 3, where)[2],
        "loss_weighting": "uncertainty" if f"{_HEAD}task_log_sigma.arm" in weights else "fixed",
    }


def require_layers(settings: Mapping[str, Any], weights: Mapping[str, Tensor], where: str) -> None:
    """Checks that the head has as many layers as its settings say, before a network of that many is made.

    Raises:
        CheckpointError: it has another number.
    """
    sizes = head_sizes(weights, where)
    for key in ("layers", "vl_layers") if settings["vl_norm"] else ("layers",):
        if settings[key] != sizes[key]:
            raise CheckpointError(
                f"{where}: head.{key}: expected {sizes[key]!r}, as the weights have, found {settings[key]!r}"
            )


def _count(weights: Mapping[str, Tensor], prefix: str) -> int:
    """How many layers there are; numbers that are left out are not among them, so a name alone makes no large network."""
    numbered = re.compile(re.escape(prefix) + r"(\d+)\.")
    return len({found.group(1) for found in map(numbered.match, weights) if found})


def _shape(weights: Mapping[str, Tensor], name: str, dimensions: int, where: str) -> tuple[int, ...]:
    if name not in weights or weights[name].dim() != dimensions:
        found = f"one of shape {tuple(weights[name].shape)}" if name in weights else "none"
        raise CheckpointError(f"{where}: expected a tensor '{name}' of {dimensions} dimensions, found {found}")
    return tuple(weights[name].shape)
