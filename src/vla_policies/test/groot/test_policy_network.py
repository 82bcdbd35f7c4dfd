"""GR00T as a policy: it learns, pads, uses its embodiment's weights alone, and goes on from a chunk that is being executed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from vla_core.errors import CheckpointError
from vla_policies.batch import NetworkInputs, NetworkShape, NetworkTargets
from vla_policies.families import hyper_parameters
from vla_policies.groot import GrootConfig, GrootNetwork
from vla_policies.groot.config import SmallBackboneConfig
from vla_policies.heads.flow_matching_dit import FlowMatchingDitConfig
from vla_policies.heads.real_time_chunking import Guidance
from vla_policies.training.config import load_preset

ROBOT = NetworkShape(cameras=2, state_dim=5, action_dim=3, action_horizon=6)
HEAD = FlowMatchingDitConfig(
    backbone_dim=32,
    hidden_dim=32,
    heads=2,
    head_dim=16,
    layers=2,
    vl_heads=2,
    vl_layers=1,
    future_tokens=2,
    positions=8,
    embodiments=3,
    state_dim=7,
    action_dim=4,
    horizon=8,
    dropout=0.0,
)
CONFIG = GrootConfig(backbone="small", small=SmallBackboneConfig(key_points=4), head=HEAD, embodiment=1)
PRESETS = Path(__file__).parents[4] / "config" / "policies"


def network_of(config: GrootConfig = CONFIG, shape: NetworkShape = ROBOT) -> GrootNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return GrootNetwork(config, shape)


def with_head(**changes: Any) -> GrootConfig:
    return dataclasses.replace(CONFIG, head=dataclasses.replace(HEAD, **changes))


def batch_of(count: int, shape: NetworkShape = ROBOT) -> tuple[NetworkInputs, NetworkTargets]:
    generator = torch.Generator().manual_seed(7)
    images = tuple(torch.randn(count, 3, 32, 32, generator=generator) for _ in range(shape.cameras))
    inputs = NetworkInputs(images, torch.randn(count, shape.state_dim, generator=generator))
    actions = torch.randn(count, 1, shape.action_dim, generator=generator).expand(-1, shape.action_horizon, -1)
    return inputs, NetworkTargets(actions.clone(), torch.zeros(count, shape.action_horizon, dtype=torch.bool))


def train(network: GrootNetwork, inputs: NetworkInputs, targets: NetworkTargets, steps: int) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        for _ in range(steps):
            optimiser.zero_grad()
            network.losses(inputs, targets)["loss"].backward()
            optimiser.step()
            schedule.step()


@pytest.mark.parametrize(
    "head", [{}, {"decoder": "arm_claw", "arm_dim": 2, "claw_dim": 1}, {"vl_norm": False, "positions": 0}]
)
def test_it_learns_a_handful_of_windows_by_heart(head) -> None:
    network, (inputs, targets) = network_of(with_head(**head)), batch_of(6)
    train(network, inputs, targets, steps=400)
    found = network.eval().predict(inputs)
    assert found.shape == targets.actions.shape
    error = (found - targets.actions).square().mean().sqrt()
    assert error < 0.2 * targets.actions.std(), error


def test_the_preset_is_of_this_robot_and_small() -> None:
    preset = load_preset(PRESETS / "groot_small.yaml")
    config = hyper_parameters("groot", preset.network, "groot_small")
    shape = NetworkShape(cameras=2, state_dim=8, action_dim=8, action_horizon=preset.action_horizon)
    network = network_of(config, shape)
    assert 1e6 < sum(parameter.numel() for parameter in network.parameters()) < 4e6
    inputs, targets = batch_of(2, shape)
    assert network.eval().predict(inputs).shape == (2, 45, 8)
    assert torch.isfinite(network.losses(inputs, targets)["loss"])


@torch.no_grad()
def test_losses_count_what_is_no_padding() -> None:
    network, (inputs, targets) = network_of().eval(), batch_of(2)
    noise, time = torch.randn(2, 8, 4, generator=torch.Generator().manual_seed(1)), torch.tensor([0.3, 0.6])
    targets.is_pad[:, 4:] = True
    loss = network.losses(inputs, targets, noise, time)["loss"]
    velocity = network.action_head.velocity_field(network.features(inputs), *network._state(inputs))
    actions = torch.zeros(2, 8, 4)
    actions[:, :6, :3] = targets.actions
    x = (1 - time[:, None, None]) * noise + time[:, None, None] * actions
    errors = (velocity(x, time) - (actions - noise)).square()[:, :4, :3]
    torch.testing.assert_close(loss, errors.mean())


def test_only_the_weights_of_the_embodiment_are_trained() -> None:
    network, (inputs, targets) = network_of(), batch_of(2)
    network.losses(inputs, targets)["loss"].backward()
    per_embodiment = [parameter for name, parameter in network.named_parameters() if name.endswith((".W", ".b"))]
    assert len(per_embodiment) == 2 * (2 + 3 + 2)
    for parameter in per_embodiment:
        assert parameter.grad is not None
        trained = parameter.grad.flatten(1).abs().amax(dim=1) > 0
        assert trained.tolist() == [False, True, False]


@torch.no_grad()
def test_predictions_are_always_the_same_and_of_each_observation_alone() -> None:
    network, (inputs, _) = network_of().eval(), batch_of(3)
    both = network.predict(inputs)
    assert torch.equal(both, network.predict(inputs))
    alone = network.predict(NetworkInputs(tuple(image[1:2] for image in inputs.images), inputs.state[1:2]))
    torch.testing.assert_close(both[1:2], alone, rtol=0.0, atol=1e-5)


@torch.no_grad()
def test_instructions_make_a_difference_by_their_words() -> None:
    network, (inputs, _) = network_of().eval(), batch_of(3)
    same = NetworkInputs(
        tuple(image[:1].expand(3, -1, -1, -1) for image in inputs.images), inputs.state[:1].expand(3, -1)
    )
    prompts = ("left, not right", "right, not left", "left, not right")
    first, second, third = network.predict(dataclasses.replace(same, prompts=prompts))
    torch.testing.assert_close(first, third, rtol=0.0, atol=1e-5)
    assert (first - second).abs().max() > 1e-4


def test_a_chunk_goes_on_from_the_one_that_is_being_executed() -> None:
    network, (inputs, targets) = network_of(), batch_of(6)
    train(network, inputs, targets, steps=100)
    network.eval()
    with torch.inference_mode():
        free = network.predict(inputs)
        held = network.predict_guided(inputs, free + 0.3, Guidance(delay=2, execution_horizon=2))
        same = network.predict_guided(inputs, free, Guidance(delay=2, execution_horizon=2, max_weight=0.0))
    torch.testing.assert_close(same, free, rtol=0.0, atol=1e-4)
    assert (held - (free + 0.3))[:, :2].abs().mean() < 0.5 * (free - (free + 0.3))[:, :2].abs().mean()


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"state_dim": 8}, "expected at most 7 state dimensions, found 8"),
        ({"action_dim": 5}, "expected at most 4 action dimensions, found 5"),
        ({"action_horizon": 9}, "expected at most 8 actions in a chunk, found 9"),
    ],
)
def test_a_robot_that_does_not_fit_is_refused(shape, message) -> None:
    with pytest.raises(CheckpointError, match=message):
        GrootNetwork(CONFIG, dataclasses.replace(ROBOT, **shape))


def test_eagle_wants_its_tokenizer() -> None:
    with torch.device("meta"):
        network = GrootNetwork(GrootConfig(), ROBOT)
    with pytest.raises(CheckpointError, match="tokenizer: expected the path of Eagle's tokenizer"):
        network.predict(batch_of(1)[0])
