"""pi0 and pi0.5 through the whole way: trained on episodes, written, loaded, asked for a chunk."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import vla_policies
from vla_core.episodes import EpisodeReader
from vla_policies.checkpoint import read_checkpoint
from vla_policies.training.cli import PRESETS
from vla_policies.training.config import Data, Reporting, load_preset
from vla_policies.training.loop import train

TOWER = {"width": 32, "depth": 2, "mlp_dim": 48, "heads": 2, "kv_heads": 1, "head_dim": 8}


def trained(name: str, folder: Path, record_reaching: Callable[..., Path]) -> Path:
    """The checkpoint of a short run with a small network, and its episodes beside it."""
    episodes = [record_reaching(folder / "episodes", seed, 12) for seed in range(3)]
    preset = load_preset(PRESETS / f"{name}.yaml")
    config = dataclasses.replace(
        preset,
        action_horizon=6,
        network={**preset.network, "vlm": TOWER, "expert": TOWER, "key_points": 8},
        optimisation=dataclasses.replace(preset.optimisation, steps=4, batch_size=4, warmup_steps=1),
        data=Data(validation_share=0.3, validation_windows=8),
        reporting=Reporting(2, 4),
    )
    result = train(config, episodes, folder / "out")
    assert result.finished
    return result.checkpoint


@pytest.mark.parametrize("name", ["pi0_small", "pi05_small"])
def test_it_trains_is_written_and_infers(name, tmp_path, record_reaching) -> None:
    policy = vla_policies.load(trained(name, tmp_path, record_reaching))
    with EpisodeReader(next((tmp_path / "episodes").glob("*.hdf5"))) as reader:
        first, again = (policy.infer(reader.observation(0)).actions for _ in range(2))
    assert first.shape == (6, 8)
    assert (first == again).all()


def test_tied_weights_are_written_and_come_back_tied(tmp_path, record_reaching) -> None:
    out = trained("pi0_small", tmp_path, record_reaching)
    written = load_file(out / "model.safetensors")
    paligemma = "model.paligemma_with_expert.paligemma"
    table = written[f"{paligemma}.model.language_model.embed_tokens.weight"]
    assert torch.equal(table, written[f"{paligemma}.lm_head.weight"])
    read = read_checkpoint(out).network().model.paligemma_with_expert.paligemma
    assert read.lm_head.weight is read.model.language_model.embed_tokens.weight
