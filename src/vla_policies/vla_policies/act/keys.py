"""The names of ACT's parameters here, in checkpoints of tonyzhaozh/act and in those of LeRobot.

Only prefixes differ, so one table says everything. What the table does not name and what is only computed:

- ``pos_table`` / ``vae_encoder_pos_enc``: the sine table of the style encoder, computed again when the network is built.
- The original's ``transformer.decoder.layers.1`` and following: they exist, but the original returns what its first decoder
  layer gives, so they have no effect.
- ``num_batches_tracked`` of unfrozen batch norms.
- ``is_pad_head``: the original's loader insists on it, LeRobot has none, and nothing that it outputs is used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from vla_policies.act.position import sine_positions

Layout = Literal["original", "lerobot"]

# here, tonyzhaozh/act, LeRobot; without their common prefix "model."
_NAMES = (
    ("backbones.0.", "backbones.0.0.body.", "backbone."),
    ("image_tokens.0.projection.", "input_proj.", "encoder_img_feat_input_proj."),
    ("state_projection.", "input_proj_robot_state.", "encoder_robot_state_input_proj."),
    ("latent_projection.", "latent_out_proj.", "encoder_latent_input_proj."),
    ("token_position", "additional_pos_embed.weight", "encoder_1d_feature_pos_embed.weight"),
    ("encoder.", "transformer.encoder.", "encoder."),
    ("decoder.layers.", "transformer.decoder.layers.", "decoder.layers."),
    ("decoder.norm.", "transformer.decoder.norm.", "decoder.norm."),
    ("query_position", "query_embed.weight", "decoder_pos_embed.weight"),
    ("head.projection.", "action_head.", "action_head."),
    ("pad_head.", "is_pad_head.", None),
    ("style_encoder.cls", "cls_embed.weight", "vae_encoder_cls_embed.weight"),
    ("style_encoder.state_projection.", "encoder_joint_proj.", "vae_encoder_robot_state_input_proj."),
    ("style_encoder.action_projection.", "encoder_action_proj.", "vae_encoder_action_input_proj."),
    ("style_encoder.latent_projection.", "latent_proj.", "vae_encoder_latent_output_proj."),
    ("style_encoder.encoder.", "encoder.", "vae_encoder."),
)
_PREFIX = "model."
_SINE_TABLE = {"original": "pos_table", "lerobot": "vae_encoder_pos_enc"}
_DEAD_LAYER = re.compile(r"transformer\.decoder\.layers\.[1-9]\d*\.")
_COMPILED = "_orig_mod."  # what torch.compile puts before the names of what it wraps
ORIGINAL_DECODER_LAYERS = 7


def from_layout(weights: Mapping[str, Tensor], layout: Layout) -> dict[str, Tensor]:
    """Renames a foreign checkpoint's tensors to ours. A key that is not of that layout keeps its name."""
    table = [(theirs, ours) for ours, theirs in _names(layout)]
    renamed = {}
    for key, tensor in weights.items():
        bare = key.replace(_COMPILED, "").removeprefix(_PREFIX)
        if bare == _SINE_TABLE[layout] or bare.endswith(".num_batches_tracked"):
            continue
        if layout == "original" and _DEAD_LAYER.match(bare):
            continue
        renamed[_replace_prefix(bare, table)] = tensor
    return renamed


def to_layout(weights: Mapping[str, Tensor], layout: Layout) -> dict[str, Tensor]:
    """Renames our tensors to a foreign layout's, and adds what its loader insists on.

    That is the sine table and, for the original, copies of the first decoder layer for the six that have no effect, and
    zeros for a head that nothing uses, if ours has none.
    """
    table = _names(layout)
    written = {}
    for key, tensor in weights.items():
        if key.startswith("pad_head.") and layout == "lerobot":
            continue
        written[_PREFIX + _replace_prefix(key, table)] = tensor
    horizon, dim = weights["query_position"].shape
    if "style_encoder.cls" in weights:
        written[_PREFIX + _SINE_TABLE[layout]] = sine_positions(2 + horizon, dim)[None]
    if layout == "lerobot":
        return written
    pad_head = {"model.is_pad_head.weight": torch.zeros(1, dim), "model.is_pad_head.bias": torch.zeros(1)}
    return {**pad_head, **written, **_dead_layers(written)}


def name_in(key: str, layout: Layout) -> str:
    """What a layout calls one of our tensors, for errors."""
    return _PREFIX + _replace_prefix(key, _names(layout))


def _dead_layers(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    first = _PREFIX + "transformer.decoder.layers.0."
    return {
        key.replace(first, f"{first[:-2]}{layer}."): tensor
        for key, tensor in weights.items()
        if key.startswith(first)
        for layer in range(1, ORIGINAL_DECODER_LAYERS)
    }


def _names(layout: Layout) -> list[tuple[str, str]]:
    """Our prefixes and theirs."""
    rows = ((row[0], row[1] if layout == "original" else row[2]) for row in _NAMES)
    return [(ours, theirs) for ours, theirs in rows if theirs is not None]


def _replace_prefix(key: str, table: list[tuple[str, str]]) -> str:
    for old, new in table:
        if key.startswith(old):
            return new + key.removeprefix(old)
    return key
