"""The command ``./vla train`` and the presets that it offers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

import vla_policies
from vla_core import config as configuration
from vla_core.embodiment import load_embodiment
from vla_core.errors import choice
from vla_policies.act import ActConfig
from vla_policies.batch import NetworkShape
from vla_policies.families import build_network
from vla_policies.training.cli import PRESETS, main, usable_episodes
from vla_policies.training.config import load_preset

KNOWN = sorted(preset.stem for preset in PRESETS.glob("*.yaml"))
PACKAGES = [str(Path(module.__file__).parents[1]) for module in (vla_policies, configuration)]
TINY = {
    "schema": "vla/training/1",
    "name": "tiny",
    "family": "act",
    "action_horizon": 4,
    "network": {
        "backbone": "small_cnn",
        "image_tokens": "key_points",
        "hidden_dim": 16,
        "feedforward_dim": 16,
        "heads": 2,
        "encoder_layers": 1,
        "use_cvae": False,
    },
    "optimisation": {"steps": 4, "batch_size": 4, "learning_rate": 1.0e-3, "warmup_steps": 1},
    "reporting": {"log_every": 2, "checkpoint_every": 2},
}


@pytest.fixture(scope="module")
def episodes(tmp_path_factory, record_reaching) -> Path:
    folder = tmp_path_factory.mktemp("episodes")
    for seed in range(3):
        record_reaching(folder, seed, 8)
    return folder


@pytest.fixture
def preset(tmp_path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY))
    return path


def arguments(episodes: Path, preset: Path, out: Path, *more: str) -> list[str]:
    return ["--episodes", str(episodes), "--policy", str(preset), "--out", str(out), *more]


def test_it_trains_and_says_so(episodes, preset, tmp_path, capsys) -> None:
    code = main(arguments(episodes, preset, tmp_path / "out", "--steps", "3", "--json", str(tmp_path / "out.json")))
    assert code == 0
    assert "trained:" in capsys.readouterr().err
    figures = json.loads((tmp_path / "out.json").read_text())
    assert (figures["step"], figures["finished"], figures["episodes"]) == (3, True, 3)
    assert figures["validation"]["validation_l1"] > 0
    assert vla_policies.describe(tmp_path / "out")["train_steps"] == 3
    assert f"command_line: vla train --episodes {episodes}" in (tmp_path / "out" / "config.yaml").read_text()


def test_a_limit_takes_the_first_episodes(episodes, preset, tmp_path) -> None:
    assert main(arguments(episodes, preset, tmp_path / "out", "--limit", "2")) == 0
    assert vla_policies.describe(tmp_path / "out")["episodes"] == 2


def test_failures_are_left_out_unless_they_are_asked_for(tmp_path, record_reaching) -> None:
    paths = [record_reaching(tmp_path, 0, 4), record_reaching(tmp_path, 1, 4, outcome="failure")]
    assert usable_episodes(tmp_path) == paths[:1]
    assert usable_episodes(tmp_path, with_failures=True) == paths


def test_ctrl_c_leaves_a_checkpoint_and_what_resume_needs(episodes, preset, tmp_path) -> None:
    endless = arguments(episodes, preset, tmp_path / "out", "--steps", "1000000")
    command = [sys.executable, "-m", "vla_policies.training.cli", *endless]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(PACKAGES), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if line.startswith("step "):
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read()
        code = process.wait(timeout=60)
    assert code == 130, rest
    assert "stopping after this step" in rest
    stopped = vla_policies.describe(tmp_path / "out")["train_steps"]
    assert 2 <= stopped < 1_000_000
    vla_policies.load(tmp_path / "out")
    state = torch.load(tmp_path / "out" / "training" / "state.pt", weights_only=True)
    assert state["step"] == stopped


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--policy", "act_tiny"], 2, f"--policy: expected {choice(KNOWN)} or a YAML file, found 'act_tiny'"),
        (["--steps", "0"], 2, "--steps"),
        (["--device", "abacus"], 1, "device 'abacus': cannot be used here"),
        (["--resume"], 1, "expected the state of a run to resume, found none"),
        (["--episodes", "/nowhere"], 1, "/nowhere: expected a folder of episodes"),
    ],
)
def test_what_cannot_be_done_is_said_with_an_exit_code(more, code, message, episodes, preset, tmp_path, capsys) -> None:
    assert main([*arguments(episodes, preset, tmp_path / "out"), *more]) == code
    assert message in capsys.readouterr().err.replace("\n", " ")


def test_a_wrong_preset_is_reported_key_by_key(episodes, tmp_path, capsys) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump({**TINY, "action_horizon": -1, "colour": "red"}))
    assert main(arguments(episodes, path, tmp_path / "out")) == 2
    error = capsys.readouterr().err
    assert f"{path}: action_horizon: expected greater than 0, found -1" in error
    assert f"{path}: colour: unknown key" in error


@pytest.mark.parametrize("path", sorted(PRESETS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_preset_makes_a_network(path) -> None:
    preset = load_preset(path)
    assert preset.name == path.stem
    spec = preset.spec_for(load_embodiment(PRESETS.parent / "embodiments" / "fr3_sim.yaml"))
    with torch.device("meta"):
        network = build_network(preset.family, preset.network, NetworkShape(len(spec.cameras), 8, 8, 4), path.stem)
    assert sum(parameter.numel() for parameter in network.parameters()) > 0


def test_the_full_preset_is_the_published_network() -> None:
    preset = load_preset(PRESETS / "act.yaml")
    assert configuration.from_mapping(ActConfig, preset.network, "preset") == ActConfig()
    assert preset.action_horizon == 100


def test_the_small_preset_fits_into_12_mb() -> None:
    preset = load_preset(PRESETS / "act_small.yaml")
    shape = NetworkShape(2, 8, 8, preset.action_horizon)
    with torch.device("meta"):
        network = build_network(preset.family, preset.network, shape, "preset")
    assert sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values()) < 12e6
