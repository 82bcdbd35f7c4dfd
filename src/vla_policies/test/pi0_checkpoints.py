"""Checkpoints of pi0 and pi0.5 as openpi's converter and LeRobot leave them, with weights that the test has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

ROLES = ("scene", "wrist")
STATS = {
    name: {
        "mean": list(np.linspace(-1.0, 1.0, 32)),
        "std": list(np.linspace(0.1, 0.9, 32)),
        "q01": list(np.linspace(-3.0, -2.0, 32)),
        "q99": list(np.linspace(2.0, 4.0, 32)),
    }
    for name in ("state", "actions")
}


def write_openpi(folder: Path, weights: dict[str, Tensor], **config: Any) -> Path:
    """As the converter leaves it."""
    variants = {"paligemma_variant": "tiny", "action_expert_variant": "tiny", "precision": "float32"}
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"action_dim": 32, "action_horizon": 6, **variants, **config}))
    save_file({name: tensor.clone() for name, tensor in weights.items()}, folder / "model.safetensors")
    write_stats(folder / "assets" / "lab" / "fr3", STATS)
    return folder


def write_stats(folder: Path, stats: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "norm_stats.json").write_text(json.dumps({"norm_stats": stats}))


def lerobot_config(name: str) -> dict[str, Any]:
    images = {f"observation.images.{role}": {"type": "VISUAL", "shape": [3, 224, 224]} for role in ROLES}
    empty = {"observation.images.empty_camera_0": {"type": "VISUAL", "shape": [3, 224, 224]}}
    mode = "QUANTILES" if name == "pi05" else "MEAN_STD"
    return {
        "type": name,
        "n_obs_steps": 1,
        "chunk_size": 6,
        "max_state_dim": 32,
        "max_action_dim": 32,
        "num_inference_steps": 10,
        "tokenizer_max_length": 12 if name == "pi0" else 80,
        "input_features": {"observation.state": {"type": "STATE", "shape": [8]}, **images, **empty},
        "output_features": {"action": {"type": "ACTION", "shape": [8]}},
        "normalization_mapping": {"VISUAL": "IDENTITY", "STATE": mode, "ACTION": mode},
        "empty_cameras": 1,
        "use_relative_actions": False,
    }


def write_lerobot(folder: Path, name: str, weights: dict[str, Tensor], relative: bool = False, **config: Any) -> Path:
    folder.mkdir(exist_ok=True)
    settings = {**lerobot_config(name), "use_relative_actions": relative, **config}
    (folder / "config.json").write_text(json.dumps(settings))
    save_file({f"model.{key}": tensor.clone() for key, tensor in weights.items()}, folder / "model.safetensors")
    stats = {
        f"{feature}.{statistic}": torch.tensor(values[:8])
        for feature, key in (("observation.state", "state"), ("action", "actions"))
        for statistic, values in STATS[key].items()
    }
    prompt = "pi0_new_line_processor" if name == "pi0" else "pi05_prepare_state_tokenizer_processor_step"
    before = [{"registry_name": step} for step in ("rename_observations_processor", prompt, "tokenizer_processor")]
    step = {"registry_name": "relative_actions_processor", "config": {"enabled": relative}}
    norm = {"eps": 1e-8, "norm_map": settings["normalization_mapping"]}
    for which, more in (("pre", [*before, step]), ("post", [])):
        state_file = f"policy_{which}processor_step_0_{'un' if which == 'post' else ''}normalizer_processor.safetensors"
        name_of_step = f"{'un' if which == 'post' else ''}normalizer_processor"
        steps = [*more, {"registry_name": name_of_step, "config": norm, "state_file": state_file}]
        (folder / f"policy_{which}processor.json").write_text(json.dumps({"name": which, "steps": steps}))
        save_file(stats, folder / state_file)
    return folder
