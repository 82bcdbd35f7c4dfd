"""CrossFormer gives the numbers of rail-berkeley/crossformer, in the middle and at the end."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping

import pytest
import torch
from recipe import Golden, read_golden
from torch import Tensor

from vla_policies.crossformer.attention import attention_mask
from vla_policies.crossformer.config import Ends, ImageGroup, Readout, Trunk, VectorGroup
from vla_policies.crossformer.keys import from_flax
from vla_policies.crossformer.network import CrossFormer, History, Task, normalise_pixels
from vla_policies.crossformer.resnet import Film

HEADS = ("bimanual", "single_arm", "nav", "quadruped")


@pytest.fixture(scope="module")
def golden() -> Golden:
    return read_golden("crossformer")


@pytest.fixture(scope="module")
def network(golden) -> CrossFormer:
    config = golden.description["config"]
    trunk = Trunk(
        token_dim=config["token_dim"],
        layers=config["layers"],
        mlp_dim=config["mlp_dim"],
        heads=config["heads"],
        max_horizon=config["max_horizon"],
        language_dim=config["language_dim"],
    )
    tokens = trunk.encoder.tokens(*config["image_hw"])
    ends = Ends(
        images={name: ImageGroup(goal, film, tokens) for name, _, goal, film in config["groups"]},
        vectors={config["lowdim"][0]: VectorGroup(config["lowdim"][2], dropout=0.2)},
        readouts={name: Readout(*sizes) for name, sizes in config["readouts"].items()},
    )
    network = CrossFormer(trunk, ends).eval()
    weights = {key: value for key, value in golden.weights.items() if not key.startswith("standalone_film/")}
    network.load_state_dict(from_flax(weights), strict=True)
    return network


@pytest.fixture(scope="module")
def history(golden) -> History:
    arrays, groups = golden.arrays, golden.description["config"]["groups"]
    return History(
        images={name: normalise_pixels(arrays[f"in.obs.{key}"]) for name, key, *_ in groups},
        vectors={"bimanual": arrays["in.obs.proprio_bimanual"]},
        valid=arrays["in.obs.timestep_pad_mask"],
        image_valid={name: arrays[f"in.pad.{key}"] for name, key, *_ in groups},
    )


@pytest.fixture(scope="module")
def task(golden) -> Task:
    arrays, groups = golden.arrays, golden.description["config"]["groups"]
    goals = {name: normalise_pixels(arrays[f"in.task.{key}"]) for name, key, *_ in groups}
    return Task(arrays["in.task.language_instruction"], goals)


@pytest.fixture(scope="module")
def readouts(network, history, task) -> dict[str, Tensor]:
    with torch.no_grad():
        return network.readouts(history, task)


def in_64_bits(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.double() for name, tensor in tensors.items()}


def close(actual: Tensor, expected: Tensor, golden: Golden, tolerance: str = "abs") -> None:
    torch.testing.assert_close(actual, expected, atol=golden.description["tolerances"][tolerance], rtol=0.0)


@torch.no_grad()
@pytest.mark.parametrize("head", HEADS)
def test_actions(head, network, readouts, golden) -> None:
    actions = network.heads[head](readouts[head])
    close(actions, golden.arrays[f"out.{head}.all_timesteps"], golden)
    close(actions[:, -1], golden.arrays[f"out.{head}.action"], golden)


@torch.no_grad()
@pytest.mark.parametrize("head", HEADS)
def test_a_head_alone_gives_the_same_actions(head, network, history, task, golden) -> None:
    close(network.act(history, task, head), golden.arrays[f"out.{head}.action"], golden)


@torch.no_grad()
def test_tokens_before_and_after_the_transformer(network, history, task, golden) -> None:
    """In 64 bits: the reference's own rounding is nearly the tolerance, and ours depends on the machine."""
    network = copy.deepcopy(network).double()
    history = dataclasses.replace(history, images=in_64_bits(history.images), vectors=in_64_bits(history.vectors))
    task = Task(task.language.double(), in_64_bits(task.goals))
    groups = network.groups(history, task, HEADS)
    projected = golden.those("mid.projected_tokens.")
    assert set(projected) <= set(groups)
    for name, expected in projected.items():
        close(groups[name].tokens, expected.double(), golden)
    after = network.encode(history, task, HEADS)
    expected_after = golden.those("mid.transformer_out.")
    assert {name if name.startswith("obs_") else f"readout_{name}" for name in after} == set(expected_after)
    for name, expected in expected_after.items():
        close(after[name.removeprefix("readout_")], expected.double(), golden)


@torch.no_grad()
def test_attention_mask(network, history, task, golden) -> None:
    mask = attention_mask(list(network.groups(history, task, HEADS).values()))
    assert torch.equal(mask[:, None], golden.arrays["mid.attention_mask"])


@torch.no_grad()
@pytest.mark.parametrize("head", HEADS)
def test_losses(head, network, readouts, history, golden) -> None:
    given = golden.those("in.loss.")
    counts = (
        given["action_pad_mask"] & history.valid[:, :, None, None] & given[f"head_mask_{head}"][:, None, None, None]
    )
    losses = network.heads[head].loss(network.heads[head](readouts[head]), given["actions"], counts)
    close(losses["l1"], golden.arrays[f"out.{head}.loss"], golden, "loss_abs")
    close(losses["mse"], golden.arrays[f"out.{head}.mse"], golden, "loss_abs")


@torch.no_grad()
def test_film_alone(golden) -> None:
    x, embedding = golden.arrays["in.film.x"], golden.arrays["in.film.cond"]
    film = Film(embedding.shape[-1], x.shape[-1])
    for branch, dense in (("scale", "Dense_0"), ("shift", "Dense_1")):
        linear = getattr(film, branch)
        linear.weight.copy_(golden.weights[f"standalone_film/{dense}/kernel"].T)
        linear.bias.copy_(golden.weights[f"standalone_film/{dense}/bias"])
    close(film(x.movedim(-1, 1), embedding).movedim(1, -1), golden.arrays["out.film_standalone"], golden)


@torch.no_grad()
def test_a_goal_that_is_not_given_is_a_black_image(network, history, task, golden) -> None:
    without = Task(task.language, {name: goal for name, goal in task.goals.items() if not (goal == -1).all()})
    assert len(without.goals) < len(task.goals)
    close(network.act(history, without, "nav"), golden.arrays["out.nav.action"], golden)
