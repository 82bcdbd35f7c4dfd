"""``config.json`` of NVIDIA's checkpoints of GR00T N1.5."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vla_core.errors import CheckpointError

_HEAD = "action_head_cfg"
_SETTINGS = {
    "backbone_embedding_dim": "backbone_dim",
    "hidden_size": "hidden_dim",
    "num_target_vision_tokens": "future_tokens",
    "max_num_embodiments": "embodiments",
    "max_state_dim": "state_dim",
    "action_dim": "action_dim",
    "action_horizon": "horizon",
    "num_inference_timesteps": "steps",
    "num_timestep_buckets": "time_buckets",
    "noise_beta_alpha": "time_alpha",
    "noise_s": "time_span",
    "use_vlln": "vl_norm",
    "diffusion_model_cfg.num_attention_heads": "heads",
    "diffusion_model_cfg.attention_head_dim": "head_dim",
    "diffusion_model_cfg.num_layers": "layers",
    "diffusion_model_cfg.dropout": "dropout",
}
_COUNTS = (
    "backbone_embedding_dim",
    "diffusion_model_cfg.num_attention_heads",
    "diffusion_model_cfg.attention_head_dim",
)
# where the published configuration leaves something out
_DEFAULTS = {"max_num_embodiments": 32, "num_target_vision_tokens": 32, "use_vlln": True}
_FIXED = {
    "noise_beta_beta": 1.0,
    "diffusion_model_cfg.interleave_self_attention": True,
    "diffusion_model_cfg.norm_type": "ada_norm",
    "diffusion_model_cfg.positional_embeddings": None,
    "vl_self_attention_cfg.positional_embeddings": None,
}
_FIXED_BACKBONE = {"reproject_vision": False, "project_to_dim": None}


def head_settings(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The head's settings by our names.

    Args:
        config: ``config.json``.
        where: its path, for errors.

    Raises:
        CheckpointError: one is missing, or of a network that ours cannot be.
    """
    head = _Keys(config, _HEAD, where)
    for key, expected in _FIXED.items():
        head.require_same(key, expected)
    for key, expected in _FIXED_BACKBONE.items():
        _Keys(config, "backbone_cfg", where).require_same(key, expected)
    settings = {ours: head.get(theirs) for theirs, ours in _SETTINGS.items()}
    settings |= {_SETTINGS[theirs]: head.count(theirs) for theirs in _COUNTS}
    head.require_same("input_embedding_dim", settings["heads"] * settings["head_dim"])
    head.require_same("max_action_dim", settings["action_dim"])
    head.require_same("diffusion_model_cfg.output_dim", settings["hidden_dim"])
    head.require_same("diffusion_model_cfg.cross_attention_dim", settings["backbone_dim"])
    settings["positions"] = head.get("max_seq_len") if head.get("add_pos_embed") else 0
    if settings["vl_norm"]:
        settings["vl_heads"] = head.count("vl_self_attention_cfg.num_attention_heads")
        settings["vl_layers"] = head.count("vl_self_attention_cfg.num_layers")
        head.require_same("vl_self_attention_cfg.attention_head_dim", settings["backbone_dim"] // settings["vl_heads"])
    return settings


class _Keys:
    """Values of a part of a configuration by their path."""

    def __init__(self, config: Mapping[str, Any], part: str, where: str) -> None:
        self._data, self._part, self._where = config.get(part), part, where

    def get(self, path: str) -> Any:
        value: Any = self._data
        for key in path.split("."):
            value = value.get(key, _DEFAULTS.get(path, _MISSING)) if isinstance(value, dict) else _MISSING
        if value is _MISSING:
            raise CheckpointError(f"{self._where}: {self._part}.{path}: missing")
        return value

    def count(self, path: str) -> int:
        value = self.get(path)
        if type(value) is not int or value < 1:
            raise CheckpointError(f"{self._where}: {self._part}.{path}: expected a number from 1 on, found {value!r}")
        return value

    def require_same(self, path: str, expected: Any) -> None:
        """What is not there is as it was published."""
        try:
            found = self.get(path)
        except CheckpointError:
            return
        if found != expected:
            raise CheckpointError(f"{self._where}: {self._part}.{path}: expected {expected!r}, found {found!r}")


_MISSING = object()
