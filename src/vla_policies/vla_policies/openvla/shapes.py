"""What the configuration, the names and the shapes of a published checkpoint say about its network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from vla_core.errors import CheckpointError
from vla_policies.normalisation import Normalisation
from vla_policies.openvla.config import Head, LanguageConfig, OpenVlaConfig, TowerConfig

# what the towers of these two have, and their weights do not say
_TIMM_IDS = ["vit_large_patch14_reg4_dinov2.lvd142m", "vit_so400m_patch14_siglip_224"]
_TOWER_HEADS = 16
_ARCHITECTURE = "no-align+fused-gelu-mlp"

# transformers' names of what a Llama is, ours, and what it takes for those that are not said
_LLAMA = (
    ("hidden_size", "hidden_dim", 4096),
    ("num_hidden_layers", "layers", 32),
    ("num_attention_heads", "heads", 32),
    ("intermediate_size", "feedforward_dim", 11008),
    ("vocab_size", "padded_vocabulary", 32000),
    ("rms_norm_eps", "norm_eps", 1e-6),
    ("rope_theta", "rope_theta", 10000.0),
)
_OFT_PARTS = ("action_head.", "proprio_projector.", "noisy_action_projector.")


def hyper_parameters(
    config: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    tokenizer_file: str,
    horizon: int | None,
    centre_crop: bool,
    where: str,
) -> OpenVlaConfig:
    """The network's configuration.

    Args:
        config: of ``config.json``.
        weights: by our names, side files among them.
        tokenizer_file: path of Llama's ``tokenizer.json``, if there is one.
        horizon: actions of a chunk, if they are told.
        centre_crop: whether it was trained with random crops.
        where: the checkpoint, for errors.

    Raises:
        CheckpointError: it is a network that ours cannot be, or tensors are missing.
    """
    for key, expected in (("timm_model_ids", _TIMM_IDS), ("arch_specifier", _ARCHITECTURE)):
        if config.get(key, expected) != expected:
            raise CheckpointError(f"{where}: {key}: expected {expected!r}, found {config[key]!r}")
    head = _head(weights, horizon)
    film = any(".blocks.0.block." in key for key in weights)
    dino, patch_grid = _tower(weights, "vision_backbone.featurizer.", where)
    siglip, _ = _tower(weights, "vision_backbone.fused_featurizer.", where)
    try:
        return OpenVlaConfig(
            head=head,
            use_proprio="proprio_projector.fc1.weight" in weights,
            film=film,
            dino=dino,
            siglip=siglip,
            image_size=patch_grid * dino.patch,
            image_resize="bicubic" if head == "autoregressive" else "lanczos3",
            centre_crop=centre_crop,
            precision=_precision(weights),
            language=_language(config, where),
            bins=int(config.get("n_action_bins", 256)),
            tokenizer_file=tokenizer_file,
        )
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{where}: {error}") from error


def sizes(weights: Mapping[str, Tensor], actions: Normalisation, where: str) -> tuple[int | None, int]:
    """Sizes of the state, if proprioception is used, and of an action. Raises CheckpointError if they contradict each other."""
    state = weights.get("proprio_projector.fc1.weight")
    stats = actions.stats
    assert stats is not None
    for key in ("action_head.model.fc2.weight", "action_head.noise_predictor.mlp_resnet.fc2.weight"):
        if key in weights and len(weights[key]) != stats.size:
            raise CheckpointError(
                f"{where}: expected statistics of the {len(weights[key])} numbers of an action, found {stats.size}"
            )
    return None if state is None else int(state.shape[-1]), stats.size


def _head(weights: Mapping[str, Tensor], horizon: int | None) -> Head:
    """A folder without any of OFT's files is OpenVLA's, unless it is told to give a chunk."""
    if "action_head.noise_predictor.mlp_resnet.fc1.weight" in weights:
        return "diffusion"
    if any(key.startswith("action_head.") for key in weights):
        return "l1"
    oft = any(key.startswith(_OFT_PARTS) for key in weights)
    return "discrete" if oft or (horizon or 1) > 1 else "autoregressive"


def _precision(weights: Mapping[str, Tensor]) -> Literal["float32", "bfloat16"]:
    """That of the language model. What is beside it, an action head for example, may be kept in another one."""
    kept = weights.get("language_model.lm_head.weight")
    return "bfloat16" if kept is not None and kept.dtype == torch.bfloat16 else "float32"


def _language(config: Mapping[str, Any], where: str) -> LanguageConfig:
    text = config.get("text_config") or {}
    if not isinstance(text, dict) or text.get("model_type", "llama") != "llama":
        raise CheckpointError(f"{where}: text_config: expected that of a 'llama', found {text!r:.80}")
    found: dict[str, Any] = {ours: text.get(theirs, default) for theirs, ours, default in _LLAMA}
    if text.get("num_key_value_heads") not in (None, found["heads"]) or text.get("rope_scaling"):
        raise CheckpointError(
            f"{where}: text_config: expected a key for every head and no scaled positions, found {text}"
        )
    if not all(isinstance(value, int | float) and value > 0 for value in found.values()):
        raise CheckpointError(f"{where}: text_config: expected numbers above 0, found {text}")
    padding = config.get("pad_to_multiple_of", 64)
    if not isinstance(padding, int):
        raise CheckpointError(f"{where}: pad_to_multiple_of: expected a number, found {padding!r}")
    return LanguageConfig(vocabulary=found["padded_vocabulary"] - padding, **found)


def _tower(weights: Mapping[str, Tensor], prefix: str, where: str) -> tuple[TowerConfig, int]:
    """A tower's configuration, and how many patches are side by side."""
    patches = _shape(weights, f"{prefix}patch_embed.proj.weight", 4, where)
    places = _shape(weights, f"{prefix}pos_embed", 3, where)[1]
    block = f"{prefix}blocks.0."
    block += "block." if f"{block}block.norm1.weight" in weights else ""
    numbers = [re.match(re.escape(prefix) + r"blocks\.(\d+)\.", key) for key in weights]
    registers = weights.get(f"{prefix}reg_token")
    try:
        tower = TowerConfig(
            width=patches[0],
            layers=1 + max(int(found.group(1)) for found in numbers if found),
            heads=_TOWER_HEADS,
            feedforward_dim=_shape(weights, f"{block}mlp.fc1.weight", 2, where)[0],
            patch=patches[2],
            registers=0 if registers is None else int(registers.shape[1]),
            class_token=f"{prefix}cls_token" in weights,
            layer_scale=f"{block}ls1.scale_factor" in weights,
            attention_pool=f"{prefix}attn_pool.latent" in weights,
        )
    except ValueError as error:
        raise CheckpointError(f"{where}: {prefix[:-1]}: {error}") from error
    return tower, round(places**0.5)


def _shape(weights: Mapping[str, Tensor], name: str, dimensions: int, where: str) -> tuple[int, ...]:
    if name not in weights:
        raise CheckpointError(f"{where}: expected the weights of OpenVLA, found none for '{name}'")
    if weights[name].dim() != dimensions:
        shape = tuple(weights[name].shape)
        raise CheckpointError(f"{where}: {name}: expected {dimensions} dimensions, found the shape {shape}")
    return tuple(weights[name].shape)
