"""Several processes, as torchrun starts them, here two on the processor."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from training_presets import ARM, BARE, CROSSFORMER
from training_runs import ALONE, settings

from vla_core import config as configuration
from vla_core.episodes import list_episodes
from vla_core.errors import ConfigError
from vla_policies.training.config import TrainConfig
from vla_policies.training.data import read_parts
from vla_policies.training.loop import train
from vla_policies.training.processes import Processes

_LONGEST_S = 240
_SOURCES = [str(Path(__file__).parents[4] / "src" / name) for name in ("vla_core", "vla_policies")]


def run_two(config: TrainConfig, folder: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Trains with ``torchrun`` in two processes."""
    file = out.parent / f"{config.name}.yaml"
    file.write_text(yaml.safe_dump(configuration.to_mapping(config)))
    launch = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "vla_policies.training.cli"]
    options = ("--policy", str(file), "--episodes", str(folder), "--out", str(out), *options)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(_SOURCES), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", *launch, *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=_LONGEST_S, env=environment)


def losses(out: Path) -> list[float]:
    with open(out / "training" / "losses.csv", newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def config() -> TrainConfig:
    # nothing is drawn at random, and padding counts in the denominator: then two halves are one batch
    plain = settings(steps=4, batch_size=8)
    data = configuration.to_mapping(plain)
    data["network"] = {**plain.network, "dropout": 0.0, "l1_denominator": "all"}
    return configuration.from_mapping(TrainConfig, data, "two")


@pytest.fixture(scope="module")
def by_two(config, episodes, tmp_path_factory) -> tuple[Path, str]:
    """Where two processes trained, and what they said."""
    folder = tmp_path_factory.mktemp("two")
    done = run_two(config, episodes[0].parent, folder / "out", "--json", str(folder / "two.json"))
    assert done.returncode == 0, done.stderr
    return folder / "out", done.stderr


def test_two_processes_train_as_one_does_with_the_whole_batch(config, by_two, episodes, tmp_path) -> None:
    out, said = by_two
    train(config, list_episodes(episodes[0].parent), tmp_path / "one")
    assert losses(out) == pytest.approx(losses(tmp_path / "one"), rel=1e-4)
    one, two = (load_file(folder / "model.safetensors") for folder in (tmp_path / "one", out))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, atol=2e-4, rtol=1e-3, msg=name)
    assert json.loads((out.parent / "two.json").read_text())["finished"] is True
    assert said.count("step 4/4") == 1  # only one of them reports


@pytest.mark.slow
def test_a_run_goes_on_in_parts(config, by_two, episodes, tmp_path) -> None:
    """Begun by one process, finished by two of which each has a part of the weights."""
    steps = iter(range(9))
    train(config, list_episodes(episodes[0].parent), tmp_path / "out", should_stop=lambda: next(steps) == 1)
    data = configuration.to_mapping(config)
    data["optimisation"]["parallel"] = "fsdp"
    sharded = configuration.from_mapping(TrainConfig, data, "sharded")
    done = run_two(sharded, episodes[0].parent, tmp_path / "out", "--resume")
    assert done.returncode == 0, done.stderr
    assert losses(tmp_path / "out") == pytest.approx(losses(by_two[0]), rel=1e-4)
    found, expected = (load_file(folder / "model.safetensors") for folder in (tmp_path / "out", by_two[0]))
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=2e-4, rtol=1e-3, msg=name)

    states = [torch.load(out / "training" / "state.pt", weights_only=True) for out in (tmp_path / "out", by_two[0])]
    sizes = [[tuple(own["exp_avg"].shape) for own in state["optimiser"]["state"].values()] for state in states]
    assert sizes[0] == sizes[1]
    assert states[0]["step"] == 4


@pytest.mark.slow
def test_two_processes_give_the_same_bits_again(config, by_two, episodes, tmp_path) -> None:
    whole, _ = by_two
    done = run_two(config, episodes[0].parent, tmp_path / "again")
    assert done.returncode == 0, done.stderr
    assert (whole / "model.safetensors").read_bytes() == (tmp_path / "again" / "model.safetensors").read_bytes()


def test_a_batch_that_cannot_be_shared_is_refused(episodes) -> None:
    expected = "batch_size: expected a multiple of 2, the number of processes, found 7"
    with pytest.raises(ConfigError, match=expected):
        read_parts(settings(batch_size=7), episodes, Processes(0, 2, torch.device("cpu")))


def test_a_process_takes_its_own_part_of_the_batch(episodes) -> None:
    (data,) = read_parts(settings(), episodes, ALONE).values()
    together = data.batch(0, ALONE)[1].actions
    parts = [data.batch(0, Processes(rank, 2, torch.device("cpu")))[1].actions for rank in (0, 1)]
    for rank, part in enumerate(parts):
        assert torch.equal(part, together[rank::2])


@pytest.mark.slow
def test_two_processes_train_on_two_embodiments(bare_arm, episodes, record_reaching, tmp_path) -> None:
    """With all that can be combined: 16 bits, recomputed layers, low-rank changes."""
    optimisation = {**CROSSFORMER["optimisation"], "precision": "bfloat16", "gradient_checkpointing": True}
    lora = {"keys": ["transformer"], "rank": 2, "trained": ["heads", "projections"]}
    data = {**CROSSFORMER, "optimisation": {**optimisation, "lora": lora}}
    record_reaching(tmp_path / "bare", 0, embodiment=bare_arm)
    mixed = configuration.from_mapping(TrainConfig, data, "mixed")
    done = run_two(mixed, episodes[0].parent, tmp_path / "out", "--episodes", str(tmp_path / "bare"))
    assert done.returncode == 0, done.stderr
    for name in (ARM, BARE):
        assert (tmp_path / "out" / name / "model.safetensors").is_file()
        assert f"loss_{name}" in (tmp_path / "out" / "training" / "losses.csv").read_text()
