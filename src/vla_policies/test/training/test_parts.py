"""Frozen parts, low-rank changes, and weights to start from."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from training_runs import ALONE, NETWORK, Reports, preset, settings, trainer

import vla_policies
from vla_core import config as configuration
from vla_core.episodes import EpisodeReader
from vla_core.errors import CheckpointError, ConfigError
from vla_policies.errors import TrainingError
from vla_policies.training.config import Lora, TrainConfig
from vla_policies.training.data import read_training_data
from vla_policies.training.keys import Keys
from vla_policies.training.loop import train


@pytest.mark.parametrize(
    ("pattern", "covered", "others"),
    [
        ("encoder", ["encoder", "encoder.layers.0.weight"], ["style.encoder", "encoder_norm.weight"]),
        ("encoder.layers.*.linear*", ["encoder.layers.11.linear2.bias"], ["encoder.layers.0.norm1.weight"]),
        ("**.to_q", ["to_q.weight", "a.to_q", "a.b.0.to_q.bias"], ["a.to_qk.weight", "a.to_k.weight"]),
        ("a.**.b", ["a.b", "a.x.y.b.weight"], ["x.a.b", "a.bb"]),
        ("**", ["anything", "at.all"], []),
    ],
)
def test_patterns_mean_names_and_what_is_beneath(pattern, covered, others) -> None:
    keys = Keys([pattern])
    assert [name for name in [*covered, *others] if keys.covers(name)] == covered


def test_what_is_frozen_stays_and_the_rest_learns(episodes) -> None:
    run = trainer(settings(frozen=("backbones", "encoder.layers.*.linear1")), episodes)
    before = {name: tensor.clone() for name, tensor in run.network.state_dict().items()}
    for step in range(3):
        run.step(step)
    moved = {name for name, tensor in run.network.state_dict().items() if not torch.equal(tensor, before[name])}
    frozen = {name for name in before if name.startswith("backbones.") or (".linear1." in name and "encoder" in name)}
    assert frozen == {name for name in before if name.startswith(("backbones.", "encoder."))} & (set(before) - moved)
    assert "head.projection.weight" in moved
    assert not run.network.backbones.training
    assert run.network.encoder.training


def test_frozen_weights_are_held_once(episodes) -> None:
    run = trainer(settings(frozen=("backbones",)), episodes)
    own, averaged = dict(run.network.named_parameters()), dict(run.average.module.named_parameters())
    shared = {name for name in own if own[name].data_ptr() == averaged[name].data_ptr()}
    assert shared == {name for name in own if name.startswith("backbones.")}


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (
            {"frozen": ("backbone",)},
            r"optimisation.frozen: expected names of parameters .*found 'backbone'; there are .*back",
        ),
        ({"frozen": ("**",)}, "expected something that is trained, found everything frozen"),
        ({"lora": Lora(("encoder.norm1",))}, r"lora.keys: expected names of linear layers .* found 'encoder.norm1'"),
        (
            {"lora": Lora(("encoder",), trained=("hands",))},
            "lora.trained: expected names of parameters .* found 'hands'",
        ),
        (
            {"lora": Lora(("encoder",), trained=("encoder",))},
            r"in keys or in trained, found 'encoder.layers.0.linear1' in",
        ),
    ],
)
def test_wrong_patterns_are_refused(chosen, message, episodes) -> None:
    with pytest.raises(ConfigError, match=message):
        trainer(settings(**chosen), episodes)


def test_frozen_and_lora_together_are_refused() -> None:
    data = configuration.to_mapping(settings(frozen=("encoder",)))
    data["optimisation"]["lora"] = {"keys": ["decoder"]}
    with pytest.raises(ConfigError, match=r"frozen: expected none with lora, which freezes all but lora\.trained"):
        configuration.from_mapping(TrainConfig, data, "preset")


@pytest.mark.parametrize("name", ["act_small", "crossformer_small", "groot_small", "oft_l1_small", "pi0_small"])
def test_low_rank_changes_learn_and_merge_into_the_weights_they_change(name, episodes) -> None:
    run = trainer(preset(name, lora=Lora(("**",), rank=2, alpha=4.0), learning_rate=1e-2), episodes)
    before = {key: tensor.clone() for key, tensor in run.network.state_dict().items()}
    for step in range(3):
        run.step(step)
    after = run.network.state_dict()
    assert {key.rsplit(".", 2)[1] for key in after if not torch.equal(after[key], before[key])} == {"lora_A", "lora_B"}

    merged, plain = run.weights(), trainer(preset(name), episodes).network
    assert merged.keys() == plain.state_dict().keys()
    assert any(not torch.equal(merged[key], before[key]) for key in merged)
    plain.load_state_dict(merged)
    inputs, _ = read_training_data(preset(name), episodes).batch(0, ALONE)
    with torch.inference_mode():
        expected = run.average.module.eval().predict(inputs)
        torch.testing.assert_close(plain.eval().predict(inputs), expected, atol=2e-4, rtol=1e-3)


def test_what_lora_trains_as_a_whole_moves_too(episodes) -> None:
    run = trainer(settings(lora=Lora(("encoder",), rank=2, dropout=0.1, trained=("head",))), episodes)
    trained = {name for name, weight in run.network.named_parameters() if weight.requires_grad}
    layers = {f"encoder.layers.{layer}.linear{number}" for layer in (0, 1) for number in (1, 2)}
    changes = {f"{layer}.lora_{which}.weight" for layer in layers for which in "AB"}
    assert trained == changes | {"head.projection.weight", "head.projection.bias"}


def test_a_run_with_lora_starts_from_a_policy_resumes_and_loads(episodes, tmp_path) -> None:
    train(settings(), episodes, tmp_path / "base")
    config = settings(start_from=str(tmp_path / "base"), lora=Lora(("encoder", "decoder"), rank=2))
    reports = Reports()
    train(config, episodes, tmp_path / "whole", reports.append)
    steps = iter(range(9))
    train(config, episodes, tmp_path / "parts", should_stop=lambda: next(steps) == 2)
    train(config, episodes, tmp_path / "parts", resume=True)
    base, whole, parts = (load_file(tmp_path / name / "model.safetensors") for name in ("base", "whole", "parts"))
    assert whole.keys() == base.keys()
    assert all(torch.equal(whole[key], parts[key]) for key in whole)
    changed = {key for key in base if not torch.equal(base[key], whole[key])}
    assert changed
    assert all(".linear" in key for key in changed)
    with EpisodeReader(episodes[0]) as reader:
        assert vla_policies.load(tmp_path / "whole").infer(reader.observation(0)).actions.shape == (6, 8)


def test_a_pattern_whose_layers_nothing_uses_is_refused(episodes) -> None:
    run = trainer(preset("pi0_small", lora=Lora(("**.language_model.layers.3.mlp", "**.gemma_expert"))), episodes)
    with pytest.raises(TrainingError, match=r"expected layers that the loss depends on, found '\*\*.language_model"):
        run.step(0)


def test_weights_to_start_from_must_fit(episodes, tmp_path) -> None:
    with pytest.raises(CheckpointError, match=r"model.safetensors: cannot be read"):
        trainer(settings(start_from=str(tmp_path)), episodes)
    train(settings(steps=1), episodes, tmp_path / "base")
    other = settings(start_from=str(tmp_path / "base"))
    wider = configuration.from_mapping(
        TrainConfig, {**configuration.to_mapping(other), "network": {**NETWORK, "feedforward_dim": 32}}, "wider"
    )
    with pytest.raises(CheckpointError, match=r"start_from: .*: the weights do not fit the network"):
        trainer(wider, episodes)
