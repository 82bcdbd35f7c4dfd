"""A network of a checkpoint is built without numbers and given those of the checkpoint: none is made twice."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from continuing_policies import continuing_checkpoint
from torch import nn

from vla_core.errors import CheckpointError
from vla_policies.batch import NetworkInputs, NetworkShape
from vla_policies.checkpoint import Checkpoint
from vla_policies.families import build_network
from vla_policies.training.cli import PRESETS
from vla_policies.training.config import load_preset
from vla_policies.weights import give

SMALL = sorted(path.stem for path in PRESETS.glob("*_small.yaml"))


@pytest.mark.parametrize("name", [*SMALL, "act_with_style"])
def test_it_infers_as_one_that_was_built_with_numbers(name, make_checkpoint, embodiment) -> None:
    if name == "act_with_style":
        made = make_checkpoint(embodiment, use_cvae=True).config
        family, settings, horizon = "act", made.network, 6
    else:
        preset = load_preset(PRESETS / f"{name}.yaml")
        family, settings, horizon = preset.family, preset.network, preset.action_horizon
    shape = NetworkShape(2, 8, 8, horizon)
    whole = build_network(family, settings, shape, name).eval()
    with torch.device("meta"):
        given = build_network(family, settings, shape, name).eval()
    give(given, whole.state_dict(), name)
    tensors = dict([*given.named_parameters(), *given.named_buffers()])
    assert [key for key, tensor in tensors.items() if tensor.is_meta] == []
    for key, expected in [*whole.named_parameters(), *whole.named_buffers()]:
        assert torch.equal(tensors[key], expected), key
        assert tensors[key].requires_grad == expected.requires_grad, key
    images = tuple(torch.rand(1, 3, 96, 128) for _ in range(2))
    inputs = NetworkInputs(images, torch.rand(1, 8), ("pick up the cube",))
    with torch.no_grad():
        assert torch.equal(given.predict(inputs), whole.predict(inputs))


def test_nothing_is_drawn_and_nothing_is_copied(embodiment) -> None:
    checkpoint = continuing_checkpoint("pi0", embodiment)
    before = torch.get_rng_state()
    network = checkpoint.network()
    assert torch.equal(torch.get_rng_state(), before)
    places = {tensor.data_ptr() for tensor in checkpoint.weights.values()}
    assert {parameter.data_ptr() for parameter in network.parameters()} <= places


def test_what_is_tied_stays_tied(embodiment) -> None:
    network = continuing_checkpoint("pi0", embodiment).network()
    language = network.model.paligemma_with_expert.paligemma
    assert language.lm_head.weight is language.model.language_model.embed_tokens.weight


def test_weights_of_another_type_become_those_of_the_network(embodiment) -> None:
    checkpoint = continuing_checkpoint("groot", embodiment)
    narrow = {key: tensor.to(torch.bfloat16) for key, tensor in checkpoint.weights.items()}
    network = Checkpoint(checkpoint.config, narrow).network()
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    cast = dataclasses.replace(checkpoint.config, family="pi0", network={**_pi0(embodiment), "precision": "bfloat16"})
    kept = Checkpoint(cast, continuing_checkpoint("pi0", embodiment).weights).network()
    assert {parameter.dtype for parameter in kept.parameters()} == {torch.float32, torch.bfloat16}


def _pi0(embodiment) -> dict[str, object]:
    return dict(continuing_checkpoint("pi0", embodiment).config.network)


def test_weights_in_another_order_of_memory_and_between_its_lines() -> None:
    with torch.device("meta"):
        network = nn.Linear(6, 4)
    buffer = torch.arange(40.0)
    weights = {"weight": buffer[1:25].reshape(6, 4).T, "bias": buffer[25:29]}
    give(network, weights, "test")
    assert torch.equal(network.weight, weights["weight"])
    assert torch.equal(network.bias, weights["bias"])
    assert network.weight.is_contiguous()
    assert network.bias.data_ptr() % 64 == 0


def test_what_does_not_fit_is_refused() -> None:
    with torch.device("meta"):
        network = nn.Linear(6, 4)
    with pytest.raises(CheckpointError, match=r"weight: expected \(4, 6\), found \(6, 4\)"):
        give(network, {"weight": torch.zeros(6, 4), "bias": torch.zeros(4)}, "test")
