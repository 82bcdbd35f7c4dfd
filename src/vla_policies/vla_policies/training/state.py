"""Everything that a training run needs to go on exactly where it stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from vla_core import config as configuration
from vla_policies.errors import TrainingError
from vla_policies.training.config import TrainConfig
from vla_policies.training.trainer import Trainer

STATE_FILE = "state.pt"


def identity(config: TrainConfig, episodes: Sequence[Path]) -> str:
    """What two runs must share for one to go on with the other: settings, device aside, and the names of the episodes."""
    on_any_device = replace(config, optimisation=replace(config.optimisation, device=""))
    return json.dumps({"config": configuration.to_mapping(on_any_device), "episodes": [path.name for path in episodes]})


def save_state(folder: Path, trainer: Trainer, step: int, run: str) -> None:
    """Writes the state; an older one is replaced only when the new one is complete.

    Random numbers need no state: those of a step come from the seed and the step.

    Args:
        folder: where to.
        trainer: what is trained.
        step: training steps done.
        run: the run's :func:`identity`.

    Raises:
        TrainingError: the file cannot be written.
    """
    partial = folder / (STATE_FILE + ".partial")
    state = {
        "run": run,
        "step": step,
        "network": trainer.network.state_dict(),
        "average": trainer.average.state_dict(),
        "optimiser": trainer.optimiser.state_dict(),
    }
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
    if state.get("run") != run:
        raise TrainingError(f"{path}: cannot be resumed: {_difference(state.get('run'), run)}")
    trainer.network.load_state_dict(state["network"])
    trainer.average.load_state_dict(state["average"])
    trainer.optimiser.load_state_dict(state["optimiser"])
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


def _difference(found: Any, expected: str) -> str:
    if not isinstance(found, str):
        return "it does not say of which run it is"
    theirs, ours = json.loads(found), json.loads(expected)
    if theirs["config"] == ours["config"]:
        return f"expected its {len(theirs['episodes'])} episodes, found {len(ours['episodes'])} with other names"
    keys = [key for key in ours["config"] if theirs["config"].get(key) != ours["config"][key]]
    return "expected its settings; other ones: " + ", ".join(
        f"{key} {ours['config'][key]} instead of {theirs['config'].get(key)}" for key in keys
    )
