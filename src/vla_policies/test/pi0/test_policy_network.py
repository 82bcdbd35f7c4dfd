"""pi0 and pi0.5 as policies: they learn, with images, prompts and states in their places, and go on from chunks."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from vla_core import config as configuration
from vla_core.errors import CheckpointError, ConfigError
from vla_policies.batch import NetworkInputs, NetworkShape, NetworkTargets
from vla_policies.families import FAMILIES, build_network
from vla_policies.heads.real_time_chunking import Guidance
from vla_policies.pi0 import Pi0PolicyNetwork
from vla_policies.pi0.config import GemmaShape, Pi0Config, SiglipShape
from vla_policies.training.cli import PRESETS
from vla_policies.training.config import load_preset

HORIZON, ACTIONS = 20, 8
SHAPE = NetworkShape(cameras=2, state_dim=8, action_dim=ACTIONS, action_horizon=HORIZON)
TOWER = GemmaShape(width=32, depth=2, mlp_dim=48, heads=2, kv_heads=1, head_dim=8)
VISION = SiglipShape(width=24, depth=1, mlp_dim=32, heads=2, patch=8, image=32)
SIZES = {"vlm": TOWER, "expert": TOWER, "vision": VISION, "vocabulary": 516, "prompt_length": 96, "action_dim": 12}


def small(family: str, shape: NetworkShape = SHAPE, **changes: object) -> Pi0PolicyNetwork:
    """With SigLIP, padded actions and states, from always the same seed, and no residual shut."""
    config = FAMILIES[family].config(**{**SIZES, **changes})
    torch.manual_seed(0)
    network = Pi0PolicyNetwork(config, shape).eval()
    for name, parameter in network.named_parameters():
        if ".dense." in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return network


def observations(batch: int = 2, height: int = 32, width: int = 32) -> NetworkInputs:
    generator = torch.Generator().manual_seed(1)
    images = tuple(torch.rand((batch, 3, height, width), generator=generator) * 2.0 - 1.0 for _ in range(2))
    state = torch.randn((batch, 8), generator=generator) * 0.5
    return NetworkInputs(images, state, ("pick up the cube",) * batch)


def windows(batch: int) -> tuple[NetworkInputs, NetworkTargets]:
    """Observations, and actions that cannot be told from one another without them; the last one ends early."""
    inputs = observations(batch, 64, 64)
    generator = torch.Generator().manual_seed(2)
    ends = torch.randn((batch, 1, ACTIONS), generator=generator)
    actions = torch.linspace(0.0, 1.0, HORIZON)[:, None] * ends
    is_pad = torch.zeros((batch, HORIZON), dtype=torch.bool)
    is_pad[-1, HORIZON // 2 :] = True
    return inputs, NetworkTargets(actions, is_pad)


@pytest.mark.parametrize("preset_name", ["pi0_small", "pi05_small"])
def test_the_small_preset_learns_a_handful_of_windows_by_heart(preset_name) -> None:
    preset = load_preset(PRESETS / f"{preset_name}.yaml")
    torch.manual_seed(0)
    network = build_network(preset.family, preset.network, SHAPE, preset_name)
    assert 1_000_000 < sum(parameter.numel() for parameter in network.parameters()) < 4_000_000
    inputs, targets = windows(4)
    several = repeated(inputs, 4), NetworkTargets(targets.actions.repeat(4, 1, 1), targets.is_pad.repeat(4, 1))
    optimiser = torch.optim.AdamW(network.parameters())
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=2e-3, total_steps=110)
    for _ in range(110):
        loss = network.losses(*several)["loss"]
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        rate.step()
    with torch.no_grad():
        error = (network.eval().predict(inputs) - targets.actions).abs()[~targets.is_pad].mean()
    assert error < 0.3 * targets.actions.abs()[~targets.is_pad].mean()


def repeated(inputs: NetworkInputs, times: int) -> NetworkInputs:
    images = tuple(image.repeat(times, 1, 1, 1) for image in inputs.images)
    return NetworkInputs(images, inputs.state.repeat(times, 1), inputs.prompts * times)


@pytest.mark.parametrize("family", ["pi0", "pi05"])
@torch.no_grad()
def test_a_chunk_depends_on_its_own_observation_only(family) -> None:
    network, inputs = small(family), observations()
    chunks = network.predict(inputs)
    assert chunks.shape == (2, HORIZON, ACTIONS)
    second = NetworkInputs(tuple(image[1:] for image in inputs.images), inputs.state[1:], inputs.prompts[1:])
    close(network.predict(second), chunks[1:])
    close(network.predict(inputs), chunks)


@pytest.mark.parametrize("family", ["pi0", "pi05"])
@pytest.mark.parametrize("encoder", ["siglip", "key_points"])
@torch.no_grad()
def test_a_chunk_depends_on_every_input(family, encoder) -> None:
    network, inputs = small(family, image_encoder=encoder), observations()
    chunks = network.predict(inputs)
    for changed in (
        dataclasses.replace(inputs, state=inputs.state + 0.5),
        dataclasses.replace(inputs, prompts=("put down the cube",) * 2),
        dataclasses.replace(inputs, images=(inputs.images[0], inputs.images[1].flip(-1))),
        dataclasses.replace(inputs, images=inputs.images[::-1]),
    ):
        assert (network.predict(changed) - chunks).abs().max() > 1e-6


@torch.no_grad()
def test_pi05_without_discrete_state_does_not_look_at_the_state() -> None:
    network, inputs = small("pi05", state_input="none"), observations()
    close(network.predict(dataclasses.replace(inputs, state=inputs.state + 1.0)), network.predict(inputs))


@torch.no_grad()
def test_prompts_that_are_not_padded_give_the_same_chunk() -> None:
    inputs = dataclasses.replace(observations(), prompts=("pick", "pick up the cube"))
    close(small("pi0", pad_prompts=False).predict(inputs), small("pi0").predict(inputs))


@torch.no_grad()
def test_without_prompts_the_default_one_is_used() -> None:
    inputs = observations()
    network = small("pi0", default_prompt="pick up the cube")
    close(network.predict(dataclasses.replace(inputs, prompts=())), network.predict(inputs))


@torch.no_grad()
def test_the_loss_is_that_of_all_dimensions_or_of_the_real_ones() -> None:
    inputs, targets = observations(), windows(2)[1]
    noise, time = torch.randn(2, HORIZON, 12), torch.tensor([0.2, 0.7])
    losses = {}
    for which in ("all", "real"):
        network = small("pi0", loss_dims=which)
        losses[which] = network.losses(inputs, targets, noise, time)["loss"]
    padded = torch.nn.functional.pad(targets.actions, (0, 4))
    errors = network.model.errors(
        padded, noise, time, torch.nn.functional.pad(inputs.state, (0, 4)), network.encode(inputs)
    )
    close(losses["all"], errors[~targets.is_pad].mean())
    close(losses["real"], errors[..., :ACTIONS][~targets.is_pad].mean())


@pytest.mark.parametrize("family", ["pi0", "pi05"])
def test_a_guided_chunk_goes_on_from_the_old_one_also_in_inference_mode(family) -> None:
    network = small(family)
    with torch.inference_mode():
        inputs = observations()
        free, old = network.predict(inputs), torch.randn(2, HORIZON, ACTIONS) * 0.3
        guided = network.predict_guided(inputs, old, Guidance(delay=6, execution_horizon=8))
        unguided = network.predict_guided(inputs, old, Guidance(delay=0, execution_horizon=HORIZON))
    assert (guided - old)[:, :6].abs().mean() < 0.2 * (free - old)[:, :6].abs().mean()
    close(unguided, free, 1e-4)
    assert not guided.requires_grad


@pytest.mark.parametrize("family", ["pi0", "pi05"])
def test_guidance_goes_through_the_head_alone(monkeypatch, family) -> None:
    """What is seen is encoded once, and no gradient goes back into it: it is most of the work."""
    network, encoded, steps = small(family), [], []
    encode, velocity = network.encode, network.model.velocity

    def noted_encode(inputs):
        assert not torch.is_grad_enabled()
        encoded.append(encode(inputs))
        return encoded[-1]

    def noted_velocity(x, *others):
        steps.append(x.requires_grad)
        return velocity(x, *others)

    monkeypatch.setattr(network, "encode", noted_encode)
    monkeypatch.setattr(network.model, "velocity", noted_velocity)
    with torch.inference_mode():
        network.predict_guided(observations(), torch.zeros(2, HORIZON, ACTIONS), Guidance(delay=6, execution_horizon=8))
    assert len(encoded) == 1
    assert steps == [True] * network.config.sampling_steps


@pytest.mark.parametrize("family", ["pi0", "pi05"])
@torch.no_grad()
def test_a_chunk_after_known_actions_begins_with_them_and_depends_on_them(family) -> None:
    network, inputs = small(family, trained_prefix=5), observations()
    known = torch.randn(2, 3, ACTIONS)
    chunk = network.predict_after(inputs, known)
    assert torch.equal(chunk[:, :3], known)
    assert (network.predict_after(inputs, known + 0.5) - chunk)[:, 3:].abs().max() > 1e-5
    close(network.predict_after(inputs, known[:, :0]), network.predict(inputs))
    with pytest.raises(ValueError, match=r"expected at most trained_prefix \(5\) actions, found 6"):
        network.predict_after(inputs, torch.zeros(2, 6, ACTIONS))


def test_known_actions_are_learned_from_and_not_learned(monkeypatch) -> None:
    """They are given as they are, at the time of actions, and do not count in the loss."""
    network, inputs, targets = small("pi0", trained_prefix=5), observations(), windows(2)[1]
    seen = {}
    monkeypatch.setattr(torch, "randint", lambda *_, **__: torch.tensor([[3], [0]]))
    monkeypatch.setattr(
        network.model, "velocity", lambda x, time, *_: seen.update(x=x, time=time) or torch.zeros_like(x)
    )
    noise = torch.randn(2, HORIZON, 12)
    loss = network.losses(inputs, targets, noise, torch.tensor([0.4, 0.6]))["loss"]
    assert seen["time"][0].tolist() == [0.0] * 3 + [pytest.approx(0.4)] * 17
    close(seen["x"][0, :3, :ACTIONS], targets.actions[0, :3])
    errors = (noise - torch.nn.functional.pad(targets.actions, (0, 4))).square()
    count = ~targets.is_pad
    count[0, :3] = False
    close(loss, errors[count].mean())


@pytest.mark.parametrize("family", ["pi0", "pi05"])
@pytest.mark.parametrize("precision", ["bfloat16", "bfloat16_but_vision"])
@torch.no_grad()
def test_in_16_bits_a_chunk_is_about_the_same(family, precision) -> None:
    inputs, whole = observations(), small(family)
    narrow = small(family, precision=precision)
    narrow.load_state_dict(whole.state_dict())
    assert narrow.model.paligemma_with_expert.gemma_expert.model.layers[0].mlp.up_proj.weight.dtype == torch.bfloat16
    chunk = narrow.predict(inputs)
    assert chunk.dtype == torch.float32
    close(chunk, whole.predict(inputs), 0.05)


def test_too_long_a_prompt() -> None:
    network, inputs = small("pi0", prompt_length=8), observations()
    with pytest.raises(CheckpointError, match="prompt_length: expected prompts of at most 8 tokens, found one of 18"):
        network.predict(inputs)


def test_too_many_dimensions() -> None:
    shape = NetworkShape(cameras=1, state_dim=8, action_dim=14, action_horizon=4)
    with pytest.raises(CheckpointError, match="expected at most 12 action dimensions, found 14"):
        small("pi0", shape)


def test_too_small_a_vocabulary_for_bytes() -> None:
    with pytest.raises(
        CheckpointError, match="vocabulary: expected at least 516 tokens without a tokenizer, found 300"
    ):
        small("pi0", vocabulary=300).predict(observations())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"expert": {"width": 32, "depth": 3, "mlp_dim": 48}}, "depth 18 and 3"),
        ({"conditioning": "ada_rms", "state_input": "token"}, "expected 'text' or 'none' with 'ada_rms'"),
        ({"expert": {"width": 33, "depth": 18, "mlp_dim": 48}}, "expert.width: expected an even number"),
        ({"vlm": {"width": 32, "depth": 18, "mlp_dim": 8, "heads": 3, "kv_heads": 2}}, "multiple of kv_heads"),
    ],
)
def test_impossible_settings(changes, message) -> None:
    with pytest.raises(ConfigError, match=message):
        configuration.from_mapping(Pi0Config, changes, "preset")


def close(actual: Tensor, expected: Tensor, tolerance: float = 2e-5) -> None:
    torch.testing.assert_close(actual, expected, atol=tolerance, rtol=0.0)
