"""ACT at its published size: as many parameters as the references have, and it trains, writes and loads."""

from __future__ import annotations

import shutil

import pytest
import torch
from torch import nn

import vla_policies
from vla_core.episodes import EpisodeReader
from vla_policies.act.keys import to_layout
from vla_policies.batch import NetworkShape
from vla_policies.families import build_network
from vla_policies.training.cli import PRESETS, main
from vla_policies.training.config import load_preset


def full_network(dim: int, **changes: object) -> nn.Module:
    """The network of the preset for so many joints."""
    preset = load_preset(PRESETS / "act.yaml")
    with torch.device("meta"):
        shape = NetworkShape(1, dim, dim, preset.action_horizon)
        return build_network(preset.family, {**preset.network, **changes}, shape, "preset")


def count(tensors) -> int:
    return sum(tensor.numel() for tensor in tensors)


def test_it_has_as_many_parameters_as_lerobots() -> None:
    assert count(full_network(6).parameters()) == 51_597_190  # what lerobot-train prints for an arm of six motors


def test_written_for_the_original_it_has_as_many_parameters_as_that() -> None:
    """The original prints 83.92 M: six decoder layers more, which have no effect."""
    parameters = dict(full_network(14, pad_head=True).named_parameters())
    written = to_layout(parameters, "original")
    del written["model.pos_table"]
    assert count(written.values()) == 83_923_087


@pytest.mark.slow
def test_it_trains_and_writes_and_loads(tmp_path, record_reaching) -> None:
    for seed in range(3):
        record_reaching(tmp_path / "episodes", seed, 8)
    out = tmp_path / "out"
    options = ["--policy", "act", "--limit", "2", "--steps", "2", "--device", "cpu"]
    assert main(["--episodes", str(tmp_path / "episodes"), "--out", str(out), *options]) == 0
    described = vla_policies.describe(out)
    assert (described["parameters"], described["train_steps"], described["episodes"]) == (51_601_288, 2, 2)
    policy = vla_policies.load(out)
    with EpisodeReader(next((tmp_path / "episodes").glob("*.hdf5"))) as reader:
        assert policy.infer(reader.observation(0)).actions.shape == (100, 8)
    shutil.rmtree(out)  # a gigabyte
