"""Foreign checkpoints with the golden weights, and something that must never be executed."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from vla_core.embodiment import Embodiment
from vla_policies.checkpoint import Checkpoint

FRONT_AND_WRIST = ("front", "wrist")


@pytest.fixture
def robot(golden_embodiment) -> Embodiment:
    """With the golden checkpoint's cameras, ``front`` and ``wrist``."""
    return golden_embodiment


@pytest.fixture(scope="session")
def foreign_stats() -> dict[str, np.ndarray]:
    """As dataset_stats.pkl has them; all different, so that none can stand for another."""
    return {
        "qpos_mean": np.linspace(-1.0, 1.0, 8),
        "qpos_std": np.linspace(0.1, 0.9, 8),
        "action_mean": np.linspace(1.0, -1.0, 8),
        "action_std": np.linspace(0.2, 0.5, 8),
    }


@pytest.fixture
def original(act_golden, foreign_stats, tmp_path) -> Path:
    """A folder as imitate_episodes.py leaves it."""
    folder = tmp_path / "original"
    folder.mkdir()
    torch.save(act_golden.weights, folder / "policy_best.ckpt")
    stats = {**foreign_stats, "example_qpos": np.zeros((5, 8), np.float32)}
    (folder / "dataset_stats.pkl").write_bytes(pickle.dumps(stats))
    return folder / "policy_best.ckpt"


@pytest.fixture
def lerobot_without_stats(act_golden, tmp_path) -> Path:
    """A policy folder of LeRobot without statistics."""
    folder = tmp_path / "pretrained_model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(act_golden.description["lerobot"]["config"]))
    save_file(lerobot_weights(act_golden), folder / "model.safetensors")
    return folder


@pytest.fixture
def lerobot(lerobot_without_stats, lerobot_stats) -> Path:
    """A policy folder of LeRobot whose processors hold the statistics."""
    for which, step in (("preprocessor", "normalizer_processor"), ("postprocessor", "unnormalizer_processor")):
        state_file = f"policy_{which}_step_1_{step}.safetensors"
        steps = [{"registry_name": "device_processor", "config": {}}, {"registry_name": step, "state_file": state_file}]
        text = json.dumps({"name": which, "steps": steps})
        (lerobot_without_stats / f"policy_{which}.json").write_text(text)
        save_file(lerobot_stats, lerobot_without_stats / state_file)
    return lerobot_without_stats


@pytest.fixture
def lerobot_of_old(lerobot_without_stats, lerobot_stats, act_golden) -> Path:
    """A policy folder of LeRobot whose weights hold the statistics."""
    buffers = {}
    for name, tensor in lerobot_stats.items():
        feature, _, statistic = name.rpartition(".")
        group = "unnormalize_outputs" if feature == "action" else "normalize_inputs"
        buffers[f"{group}.buffer_{feature.replace('.', '_')}.{statistic}"] = tensor
    save_file({**lerobot_weights(act_golden), **buffers}, lerobot_without_stats / "model.safetensors")
    return lerobot_without_stats


def lerobot_weights(golden: Any) -> dict[str, Tensor]:
    names = golden.description["lerobot"]["key_from_original"]
    return {name: golden.weights[original].clone() for name, original in names.items() if original in golden.weights}


@pytest.fixture(scope="session")
def lerobot_stats(foreign_stats) -> dict[str, Tensor]:
    images = {
        f"observation.images.{role}.{statistic}": torch.tensor(values)[:, None, None]
        for role in ("front", "wrist")
        for statistic, values in (("mean", [0.485, 0.456, 0.406]), ("std", [0.229, 0.224, 0.225]))
    }
    vectors = {
        f"{feature}.{statistic}": torch.from_numpy(foreign_stats[f"{key}_{statistic}"]).float()
        for feature, key in (("observation.state", "qpos"), ("action", "action"))
        for statistic in ("mean", "std")
    }
    return {**images, **vectors}


@pytest.fixture
def require_golden_actions(act_golden, foreign_stats) -> Callable[..., None]:
    """Checks that a checkpoint does with the golden observations what the reference does, in the units of the statistics."""

    def require(checkpoint: Checkpoint, reverse_channels: bool = False) -> None:
        pipeline, images = checkpoint.pipeline(), act_golden.arrays["in.image"].permute(0, 1, 3, 4, 2).numpy()
        images = images[..., ::-1] if reverse_channels else images
        state = act_golden.arrays["in.qpos"].double().numpy() * foreign_stats["qpos_std"] + foreign_stats["qpos_mean"]
        by_role = {role: np.ascontiguousarray(images[:, camera]) for camera, role in enumerate(FRONT_AND_WRIST)}
        with torch.inference_mode():
            predicted = checkpoint.network().predict(pipeline.inputs(by_role, {"qpos": state}, torch.device("cpu")))
        expected = act_golden.arrays["out.action"].double().numpy() * foreign_stats["action_std"]
        np.testing.assert_allclose(
            pipeline.actions(predicted, {"qpos": state}), expected + foreign_stats["action_mean"], atol=2e-5
        )

    return require


class Executes:
    """A pickle of this makes a file when it is read by a reader that does what pickles say."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., int], tuple[str]]:
        return os.system, (f"touch {self._path}",)


@pytest.fixture
def hostile(tmp_path) -> Iterator[Executes]:
    """Something to pickle that must never be executed."""
    yield Executes(tmp_path / "executed")
    assert not (tmp_path / "executed").exists()
