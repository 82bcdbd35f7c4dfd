"""Training: it learns, it resumes exactly, it stops when asked, and it says what it cannot do."""

from __future__ import annotations

import csv
import dataclasses
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from training_runs import ALONE, NETWORK

import vla_policies
from vla_core.episodes import EpisodeReader
from vla_core.errors import CheckpointError, ConfigError, EmbodimentMismatch, EpisodeError
from vla_policies.checkpoint import WEIGHTS_FILE
from vla_policies.errors import TrainingError
from vla_policies.spec import ImageSize
from vla_policies.training.config import Augmentation, Data, Optimisation, Reporting, TrainConfig
from vla_policies.training.data import read_training_data
from vla_policies.training.loop import train
from vla_policies.training.optimisation import rate_factor

TINY = {**NETWORK, "encoder_layers": 1, "dropout": 0.0}

WITH_NOISE = {**TINY, "use_cvae": True, "latent_dim": 4, "style_encoder_layers": 1, "dropout": 0.1}


def settings(steps: int = 8, **changes) -> TrainConfig:
    defaults = {
        "schema": "vla/training/1",
        "name": "small",
        "family": "act",
        "action_horizon": 6,
        "network": TINY,
        "optimisation": Optimisation(steps=steps, batch_size=8, learning_rate=1e-3, warmup_steps=2, ema_decay=0.9),
        "augmentation": Augmentation(shift_px=1, brightness=0.05, contrast=0.1, state_noise=0.02),
        "data": Data(validation_share=0.2, validation_windows=16),
        "reporting": Reporting(log_every=2, checkpoint_every=4),
    }
    return TrainConfig(**{**defaults, **changes})


@pytest.fixture(scope="module")
def episodes(tmp_path_factory, record_reaching) -> list[Path]:
    folder = tmp_path_factory.mktemp("episodes")
    return [record_reaching(folder, seed) for seed in range(5)]


def test_a_batch_has_the_instructions_of_its_episodes(episodes) -> None:
    inputs, targets = read_training_data(settings(), episodes).batch(0, ALONE)
    assert inputs.prompts == ("reach",) * len(targets.actions)


def test_it_learns_where_the_square_says_to_go(tmp_path, record_reaching) -> None:
    demonstrations = [record_reaching(tmp_path / "episodes", seed, 12) for seed in range(40)]
    optimisation = Optimisation(steps=250, batch_size=32, learning_rate=2e-3, warmup_steps=20, ema_decay=0.95)
    reports = []
    config = settings(optimisation=optimisation, augmentation=Augmentation(), reporting=Reporting(50, 250))
    train(config, demonstrations, tmp_path / "out", reports.append)
    assert reports[-1].losses["l1"] < 0.25 * reports[0].losses["l1"]

    policy = vla_policies.load(tmp_path / "out")
    unseen = record_reaching(tmp_path / "unseen", 1000, 12)
    with EpisodeReader(unseen) as reader:
        wanted = reader.actions
        for step in (0, 4):
            inferred = policy.infer(reader.observation(step)).actions
            np.testing.assert_allclose(inferred[:, :2], wanted[step : step + 6, :2], atol=0.04)  # of ways up to 0.4 rad
        assert policy.infer(reader.observation(0)).actions[0, 7] > 0.03  # open
        assert policy.infer(reader.observation(8)).actions[0, 7] < 0.01  # closed


@pytest.mark.parametrize("network", [TINY, WITH_NOISE])
def test_a_resumed_run_gives_the_very_same_weights(network, episodes, tmp_path) -> None:
    config = settings(steps=10, network=network)
    train(config, episodes, tmp_path / "in_one_go")
    steps = iter(range(100))
    stopped = train(config, episodes, tmp_path / "stopped", should_stop=lambda: next(steps) == 4)
    assert (stopped.step, stopped.finished) == (5, False)
    resumed = train(config, episodes, tmp_path / "stopped", resume=True)
    assert (resumed.step, resumed.finished) == (10, True)
    for name, tensor in load_file(tmp_path / "in_one_go" / "model.safetensors").items():
        assert torch.equal(load_file(tmp_path / "stopped" / "model.safetensors")[name], tensor), name


def test_another_seed_gives_another_policy(episodes, tmp_path) -> None:
    config = settings(steps=2)
    seeded = dataclasses.replace(config, optimisation=dataclasses.replace(config.optimisation, seed=1))
    for name, chosen in (("a", config), ("b", seeded)):
        train(chosen, episodes, tmp_path / name)
    assert (tmp_path / "a" / "model.safetensors").read_bytes() != (tmp_path / "b" / "model.safetensors").read_bytes()


def test_training_leaves_the_random_numbers_of_others_alone(episodes, tmp_path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    train(settings(steps=1), episodes, tmp_path / "out")
    assert torch.equal(torch.rand(3), expected)


def test_a_stopped_run_leaves_a_policy_that_infers(episodes, tmp_path) -> None:
    train(settings(), episodes, tmp_path / "out", should_stop=lambda: True)
    with EpisodeReader(episodes[0]) as reader:
        assert vla_policies.load(tmp_path / "out").infer(reader.observation(0)).actions.shape == (6, 8)


def test_the_checkpoint_says_how_it_came_to_be(episodes, tmp_path) -> None:
    train(settings(), episodes, tmp_path / "out", command_line="vla train --episodes x")
    described = vla_policies.describe(tmp_path / "out")
    assert (described["episodes"], described["train_steps"], described["name"]) == (5, 8, "small")
    assert set(described["metrics"]) == {"validation_l1", "validation_error_rad", "validation_error_m"}
    text = (tmp_path / "out" / "config.yaml").read_text()
    assert "command_line: vla train --episodes x" in text
    assert "torch:" in text


def test_losses_go_to_a_table_and_a_picture(episodes, tmp_path) -> None:
    reports = []
    train(settings(), episodes, tmp_path / "out", reports.append)
    assert [report.step for report in reports] == [2, 4, 6, 8]
    with open(tmp_path / "out" / "training" / "losses.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(float(row["step"])) for row in rows] == [2, 4, 6, 8]
    assert [bool(row["validation_l1"]) for row in rows] == [False, True, False, True]
    assert float(rows[-1]["l1"]) == pytest.approx(reports[-1].losses["l1"])
    assert (tmp_path / "out" / "training" / "losses.png").read_bytes().startswith(b"\x89PNG")


def test_a_network_that_is_larger_than_its_images_size_trains_too(episodes, tmp_path) -> None:
    config = settings(steps=1, cameras={"wrist": ImageSize(64, 48)})
    train(config, episodes, tmp_path / "out")
    assert vla_policies.describe(tmp_path / "out")["cameras"] == {"wrist": "64x48"}


def test_offsets_train_and_load(episodes, tmp_path) -> None:
    train(settings(steps=2, action_reference="qpos"), episodes, tmp_path / "out")
    with EpisodeReader(episodes[0]) as reader:
        actions = vla_policies.load(tmp_path / "out").infer(reader.observation(3)).actions
        assert np.abs(actions[:, 2:7] - reader.qpos[3, 2:7]).max() < 0.1  # joints that stand still


def test_the_rate_warms_up_and_falls_to_zero() -> None:
    optimisation = Optimisation(steps=100, batch_size=1, learning_rate=1.0, warmup_steps=10)
    factors = [rate_factor(step, optimisation) for step in range(101)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[9] == factors[10] == pytest.approx(1.0)
    assert all(later < earlier for earlier, later in pairwise(factors[10:]))
    assert factors[100] == pytest.approx(0.0)


# ---------------------------------------------------------------- what it cannot do


def test_a_folder_that_holds_a_run_is_not_overwritten(episodes, tmp_path) -> None:
    train(settings(steps=1), episodes, tmp_path / "out")
    with pytest.raises(TrainingError, match="holds a training run; resume it, or name another folder"):
        train(settings(steps=1), episodes, tmp_path / "out")


def test_a_policy_is_not_overwritten(episodes, tmp_path) -> None:
    out = train(settings(steps=1), episodes, tmp_path / "out").checkpoint
    before = (out / WEIGHTS_FILE).read_bytes()
    shutil.rmtree(out / "training")  # as a policy is shipped
    with pytest.raises(TrainingError, match="out: holds a policy, which training would replace; name another folder"):
        train(settings(steps=2), episodes, out)
    assert (out / WEIGHTS_FILE).read_bytes() == before


def test_a_run_is_only_resumed_with_its_own_settings_and_episodes(episodes, tmp_path) -> None:
    with pytest.raises(TrainingError, match=r"state.pt: expected the state of a run to resume, found none"):
        train(settings(), episodes, tmp_path / "out", resume=True)
    train(settings(), episodes, tmp_path / "out", should_stop=lambda: True)
    with pytest.raises(TrainingError, match="other ones: action_horizon 9 instead of 6"):
        train(settings(action_horizon=9), episodes, tmp_path / "out", resume=True)
    with pytest.raises(TrainingError, match="expected its 5 episodes, found 4"):
        train(settings(), episodes[:4], tmp_path / "out", resume=True)


@pytest.mark.parametrize("content", [b"", b"half a file"])
def test_a_damaged_training_state_is_refused(content, episodes, tmp_path) -> None:
    train(settings(steps=1), episodes, tmp_path / "out")
    (tmp_path / "out" / "training" / "state.pt").write_bytes(content)
    with pytest.raises(TrainingError, match="expected a whole training state"):
        train(settings(steps=1), episodes, tmp_path / "out", resume=True)


def test_a_loss_that_is_not_finite_ends_the_run(episodes, tmp_path) -> None:
    optimisation = Optimisation(steps=20, batch_size=8, learning_rate=1e30, warmup_steps=0)
    with pytest.raises(TrainingError, match=r"training diverged: the loss of step \d+ is (nan|inf)"):
        train(settings(optimisation=optimisation), episodes, tmp_path / "out")


def test_wrong_settings_are_refused_before_anything_is_trained(episodes, tmp_path) -> None:
    with pytest.raises(CheckpointError, match=r"preset 'small': family: expected 'act', .* found 'gpt'"):
        train(settings(family="gpt"), episodes, tmp_path / "a")
    with pytest.raises(ConfigError, match="preset 'small': network: width: unknown key"):
        train(settings(network={**TINY, "width": 3}), episodes, tmp_path / "b")
    with pytest.raises(
        EmbodimentMismatch, match="preset 'small' needs the camera 'top'; 'fr3_sim' has 'scene' or 'wrist'"
    ):
        train(settings(cameras={"top": ImageSize(32, 24)}), episodes, tmp_path / "c")
    with pytest.raises(EpisodeError, match="expected at least one episode to train on, found none"):
        train(settings(), [], tmp_path / "d")
