"""Several embodiments in one run: an arm with a gripper and two cameras, and one without a gripper and with one camera."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from training_presets import ARM, BARE, CROSSFORMER, GROOT, OPTIMISATION
from training_runs import ALONE, trainer

import vla_policies
from vla_core import config as configuration
from vla_core.episodes import EpisodeReader
from vla_core.errors import CheckpointError, ConfigError, EmbodimentMismatch, EpisodeError
from vla_policies.batch import NetworkInputs, NetworkTargets
from vla_policies.training.config import TrainConfig
from vla_policies.training.data import read_parts
from vla_policies.training.embodiments import combined, shares
from vla_policies.training.loop import train


def preset(data: dict[str, Any], **changes: Any) -> TrainConfig:
    return configuration.from_mapping(TrainConfig, {**data, **changes}, "preset")


@pytest.fixture(scope="session")
def both(episodes, bare_arm, record_reaching, tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("bare")
    return [*episodes, *(record_reaching(folder, seed, embodiment=bare_arm) for seed in range(4))]


@pytest.mark.parametrize("data", [CROSSFORMER, GROOT], ids=["crossformer", "groot"])
def test_a_run_reports_each_and_leaves_a_policy_for_each(data, both, embodiment, bare_arm, tmp_path) -> None:
    reports = []
    result = train(preset(data), both, tmp_path / "out", reports.append)
    for report in reports:
        assert {f"loss_{ARM}", f"loss_{BARE}"} < set(report.losses)
    assert {"validation_l1", f"validation_l1_{ARM}", f"validation_l1_{BARE}"} < set(result.validation)
    assert f"validation_error_m_{BARE}" not in result.validation  # it has no gripper
    with open(tmp_path / "out" / "training" / "losses.csv", newline="") as file:
        assert {f"loss_{BARE}", f"validation_l1_{ARM}"} < set(next(csv.DictReader(file)))
    assert (tmp_path / "out" / "training" / "losses.png").read_bytes().startswith(b"\x89PNG")

    arm, bare = (vla_policies.load(tmp_path / "out", embodiment=one) for one in (embodiment, bare_arm))
    for policy, path, shape in ((arm, both[0], (6, 8)), (bare, both[-1], (4, 7))):
        with EpisodeReader(path) as reader:
            assert policy.infer(reader.observation(0)).actions.shape == shape
    assert arm.policy_id != bare.policy_id
    weights = [tmp_path / "out" / name / "model.safetensors" for name in (ARM, BARE)]
    assert weights[0].samefile(weights[1])
    assert vla_policies.load(tmp_path / "out" / BARE).embodiment.name == BARE


def test_a_run_resumes_with_the_same_bits(both, tmp_path) -> None:
    config = preset(CROSSFORMER)
    train(config, both, tmp_path / "whole")
    steps = iter(range(9))
    train(config, both, tmp_path / "parts", should_stop=lambda: next(steps) == 1)
    train(config, both, tmp_path / "parts", resume=True)
    for name in (ARM, BARE):
        whole, parts = (load_file(tmp_path / run / name / "model.safetensors") for run in ("whole", "parts"))
        assert all(torch.equal(whole[key], parts[key]) for key in whole)
    assert not list((tmp_path / "parts").rglob("*.partial"))


def test_all_have_the_same_trunk_and_each_its_own_ends(both) -> None:
    run = trainer(preset(CROSSFORMER), both)
    before = {name: tensor.clone() for name, tensor in run.network[ARM].state_dict().items()}
    run.step(0)
    after = run.network[BARE].state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert {"heads.gripping.mean_proj.weight", "heads.pushing.mean_proj.weight", "projections.arm.weight"} < moved
    assert len(list(run.network.parameters())) == len(list(run.network[ARM].parameters()))


def test_a_batch_of_each_counts_as_one_padded_batch_with_head_masks(both) -> None:
    """CrossFormer's way: actions and masks of all samples have the size of the largest head, each head counts its own samples."""
    config = preset(CROSSFORMER)
    run, parts = trainer(config, both), read_parts(config, both, ALONE)
    network = run.network.eval()
    batches = {name: data.batch(3, ALONE) for name, data in parts.items()}
    separate = {name: network[name].losses(*batch) for name, batch in batches.items()}
    loss = combined(separate, {name: targets for name, (_, targets) in batches.items()}, "sum")["loss"]

    actions, time_mask, action_mask = _padded([targets for _, targets in batches.values()], 6, 8)
    owner = torch.tensor([place for place, (inputs, _) in enumerate(batches.values()) for _ in inputs.state])
    expected = torch.zeros(())
    for place, (name, head) in enumerate(((ARM, "gripping"), (BARE, "pushing"))):
        readout = network[name].heads[head]
        predicted = torch.zeros(len(owner), readout.horizon, readout.action_dim)
        predicted[owner == place] = network[name].predict(batches[name][0])
        predicted[owner != place] = 100.0  # what a head says of the robots of others must not matter
        head_mask = (owner == place)[:, None, None]
        expected = expected + readout.loss(predicted, actions, time_mask & action_mask & head_mask)["l1"]
    torch.testing.assert_close(loss, expected)


def test_a_batch_of_each_counts_as_one_padded_batch_with_action_masks(both) -> None:
    """GR00T's way: states and actions padded with zeros, one mean over all that the mask has, layers by embodiment."""
    config = preset(GROOT)
    run, parts = trainer(config, both), read_parts(config, both, ALONE)
    networks = run.network.eval()
    batches = {name: data.batch(3, ALONE) for name, data in parts.items()}
    sizes = [len(inputs.state) for inputs, _ in batches.values()]
    noise, time = torch.randn(sum(sizes), 6, 8), torch.rand(sum(sizes))
    separate = {
        name: networks[name].losses(*batch, noise=own_noise, time=own_time)
        for (name, batch), own_noise, own_time in zip(
            batches.items(), noise.split(sizes), time.split(sizes), strict=True
        )
    }
    loss = combined(separate, {name: targets for name, (_, targets) in batches.items()}, "elements")["loss"]

    actions, time_mask, action_mask = _padded([targets for _, targets in batches.values()], 6, 8)
    states = [torch.nn.functional.pad(inputs.state, (0, 8 - inputs.state.shape[1])) for inputs, _ in batches.values()]
    features = [networks[name].features(inputs) for name, (inputs, _) in batches.items()]
    owner = torch.tensor([place for place, size in enumerate(sizes) for _ in range(size)])
    head = networks[ARM].action_head
    velocity = head.velocity_field(torch.cat(features), torch.cat(states), owner)
    expected = head.losses(velocity, actions, time_mask & action_mask, noise, time)["loss"]
    torch.testing.assert_close(loss, expected)


def _padded(targets: list[NetworkTargets], horizon: int, dims: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Actions (B, K, A), which of them are not behind the end of an episode, and which are the robot's own."""
    actions, in_time, own = [], [], []
    for one in targets:
        rest = (0, dims - one.actions.shape[2], 0, horizon - one.actions.shape[1])
        actions.append(torch.nn.functional.pad(one.actions, rest))
        in_time.append(torch.nn.functional.pad(~one.is_pad, rest[2:])[..., None])
        own.append(torch.nn.functional.pad(torch.ones_like(one.actions, dtype=torch.bool), rest))
    return torch.cat(actions), torch.cat(in_time), torch.cat(own)


def test_both_learn(both) -> None:
    data = {**CROSSFORMER, "optimisation": {**CROSSFORMER["optimisation"], "steps": 60, "learning_rate": 3e-3}}
    run = trainer(preset(data), both)
    first = run.step(0)[0]
    for step in range(1, 59):
        run.step(step)
    last = run.step(59)[0]
    for name in (ARM, BARE):
        assert last[f"loss_{name}"] < 0.6 * first[f"loss_{name}"]


@pytest.mark.parametrize(
    ("size", "weights", "processes", "expected"),
    [
        (8, {"a": 3.0, "b": 1.0}, 1, {"a": 6, "b": 2}),
        (8, {"a": 3.0, "b": 1.0}, 2, {"a": 6, "b": 2}),
        (8, {"a": 100.0, "b": 1.0}, 1, {"a": 7, "b": 1}),
        (10, {"a": 1.0, "b": 1.0, "c": 1.0}, 1, {"a": 4, "b": 3, "c": 3}),
    ],
)
def test_a_batch_is_shared_out_by_weight(size, weights, processes, expected) -> None:
    assert shares(size, weights, processes, "preset") == expected


def test_what_does_not_fit_is_refused(both, embodiment, bare_arm, tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"batch_size: expected at least 4, 2 for each embodiment, found 2"):
        shares(2, {"a": 1.0, "b": 1.0}, 2, "preset")
    only_arm = {**CROSSFORMER, "embodiments": {ARM: CROSSFORMER["embodiments"][ARM]}}
    with pytest.raises(
        EmbodimentMismatch, match=r"preset 'mixed' is for the embodiments 'fr3_sim', it is of 'bare_arm'"
    ):
        train(preset(only_arm), both, tmp_path / "a")
    with pytest.raises(
        EpisodeError, match=r"expected episodes of the embodiments 'fr3_sim' or 'bare_arm', found none of"
    ):
        train(preset(CROSSFORMER), both[:5], tmp_path / "b")
    wider = {"embodiment": 1, "small": {"key_points": 8}}
    parts = {ARM: GROOT["embodiments"][ARM], BARE: {"network": wider}}
    with pytest.raises(
        ConfigError, match=r"bare_arm: network: expected the same weights for all embodiments; 'backbone"
    ):
        train(preset(GROOT, embodiments=parts), both, tmp_path / "c")
    train(preset(GROOT), both, tmp_path / "out")
    with pytest.raises(
        CheckpointError, match="policy for each of the embodiments 'bare_arm' or 'fr3_sim'; expected one of"
    ):
        vla_policies.load(tmp_path / "out")
    other = dataclasses.replace(embodiment, name="other")
    with pytest.raises(EmbodimentMismatch, match="is for the embodiments 'bare_arm' or 'fr3_sim', not for 'other'"):
        vla_policies.load(tmp_path / "out", embodiment=other)


def test_lora_and_frozen_parts_are_those_of_all(both) -> None:
    data = {**CROSSFORMER, "optimisation": {**OPTIMISATION, "lora": {"keys": ["transformer"], "trained": ["heads"]}}}
    run = trainer(preset(data), both)
    run.step(0)
    plain = trainer(preset(CROSSFORMER), both)
    assert run.weights().keys() == plain.weights().keys()
    assert any(".lora_B." in name and bool(tensor.any()) for name, tensor in run.network[BARE].state_dict().items())


def test_windows_of_the_bare_arm_have_its_own_shape(both) -> None:
    parts = read_parts(preset(CROSSFORMER), both, ALONE)
    inputs, targets = parts[BARE].batch(0, ALONE)
    assert isinstance(inputs, NetworkInputs)
    assert (len(inputs.images), inputs.state.shape, targets.actions.shape) == (1, (2, 7), (2, 4, 7))
    assert np.isfinite(targets.actions.numpy()).all()
