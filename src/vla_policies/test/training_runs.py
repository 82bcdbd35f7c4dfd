"""A small training run for the tests of what training can do."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch

from vla_policies.training.config import Data, Optimisation, Reporting, TrainConfig, load_preset
from vla_policies.training.data import read_parts
from vla_policies.training.processes import Processes
from vla_policies.training.report import Progress
from vla_policies.training.trainer import Trainer

PRESETS = Path(__file__).parents[3] / "config" / "policies"
ALONE = Processes(0, 1, torch.device("cpu"))

NETWORK = {
    "backbone": "small_cnn",
    "image_tokens": "key_points",
    "hidden_dim": 32,
    "feedforward_dim": 64,
    "heads": 4,
    "encoder_layers": 2,
    "dropout": 0.1,
    "use_cvae": False,
}


def settings(steps: int = 6, **optimisation: Any) -> TrainConfig:
    """A run of a tiny ACT that reports every step."""
    chosen = {"batch_size": 8, "learning_rate": 1e-3, "warmup_steps": 2, "ema_decay": 0.9, **optimisation}
    return TrainConfig(
        schema="vla/training/1",
        name="tiny",
        family="act",
        action_horizon=6,
        network=NETWORK,
        optimisation=Optimisation(steps=steps, **chosen),
        data=Data(validation_share=0.2, validation_windows=16),
        reporting=Reporting(log_every=1, checkpoint_every=steps),
    )


def preset(name: str, **optimisation: Any) -> TrainConfig:
    """A preset with small batches and other settings."""
    config = load_preset(PRESETS / f"{name}.yaml")
    changed = dataclasses.replace(
        config.optimisation, **{"batch_size": 4, "steps": 4, "warmup_steps": 0, **optimisation}
    )
    return dataclasses.replace(config, optimisation=changed, data=Data(validation_windows=4))


def trainer(config: TrainConfig, episodes: list[Path]) -> Trainer:
    return Trainer(config, read_parts(config, episodes, ALONE), ALONE)


class Reports(list[Progress]):
    """Collects the reports of a run."""

    @property
    def losses(self) -> list[float]:
        return [report.losses["loss"] for report in self]
