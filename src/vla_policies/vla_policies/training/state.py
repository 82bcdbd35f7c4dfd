"""Everything that a training run needs to go on exactly where it stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from vla_core import config as configuration
from vla_core.errors import ConfigError
from vla_policies.errors import TrainingError
from vla_policies.training.config import TrainConfig
from vla_policies.training.trainer import Trainer

STATE_FILE = "state.pt"


def identity(config: TrainConfig, episodes: Sequence[Path]) -> str:
    """What two runs must share for one to go on with the other: settings, devices aside, and the names of the episodes."""
    on_any_device = replace(config, optimisation=replace(config.optimisation, device="", parallel="ddp"))
    return json.dumps({"config": configuration.to_mapping(on_any_device), "episodes": [path.name for path in episodes]})


def save_state(folder: Path, trained: Mapping[str, Any], step: int, run: str) -> None:
    """Writes the state; an older one is replaced only when the new one is complete.

    Random numbers need no state: those of a step come from the seed and the step.

    Args:
        folder: where to.
        trained: the trainer's state.
        step: training steps done.
        run: the run's :func:`identity`.

    Raises:
        TrainingError: the file cannot be written.
    """
    partial = folder / (STATE_FILE + ".partial")
    state = {"run": run, "step": step, **trained}
    try:
        torch.save(state, partial)
        os.replace(partial, folder / STATE_FILE)
    except (OSError, RuntimeError) as error:
        raise TrainingError(f"{folder / STATE_FILE}: cannot be written ({error})") from error


def restore_state(folder: Path, trainer: Trainer, run: str) -> int:
    """Brings a trainer to where a saved state stopped. Returns the training steps done.

    Raises:
        TrainingError: there is no state, it cannot be read, or it is of a run with other settings or episodes.
    """
    path = folder / STATE_FILE
    state = _read(path)
    found, expected = _with_defaults(state.get("run")), json.loads(run)
    if found != expected:
        raise TrainingError(f"{path}: cannot be resumed: {_difference(found, expected)}")
    trainer.restore(state)
    return int(state["step"])


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise TrainingError(f"{path}: expected the state of a run to resume, found none")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can make torch's reader raise nearly anything
        raise TrainingError(f"{path}: expected a whole training state: {type(error).__name__}: {error}") from error
    if not isinstance(state, dict):
        raise TrainingError(f"{path}: expected a training state, found a {type(state).__name__}")
    return state


def _with_defaults(run: Any) -> dict[str, Any] | None:
    """A run's identity, in which settings that there were not yet have their defaults; None of what is none."""
    try:
        found = json.loads(run)
        config = configuration.from_mapping(TrainConfig, found["config"], "state")
        return {"config": _plain(config), "episodes": list(found["episodes"])}
    except (TypeError, ValueError, KeyError, ConfigError):
        return None


def _plain(config: TrainConfig) -> Any:
    """Settings as JSON has them."""
    return json.loads(json.dumps(configuration.to_mapping(config)))


def _difference(found: dict[str, Any] | None, expected: dict[str, Any]) -> str:
    if found is None:
        return "it does not say of which run it is"
    theirs, ours = found["config"], expected["config"]
    if theirs == ours:
        return f"expected its {len(found['episodes'])} episodes, found {len(expected['episodes'])} with other names"
    keys = [key for key in ours if theirs.get(key) != ours[key]]
    return "expected its settings; other ones: " + ", ".join(
        f"{key} {ours[key]} instead of {theirs.get(key)}" for key in keys
    )
