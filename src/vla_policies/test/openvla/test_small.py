"""The small presets: each head learns a handful of windows, and trains, writes and loads as every policy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import vla_policies
from vla_core.episodes import EpisodeReader
from vla_policies.batch import NetworkInputs, NetworkShape, NetworkTargets
from vla_policies.families import build_network
from vla_policies.training.cli import PRESETS, main
from vla_policies.training.config import load_preset

HEADS = ["l1", "discrete", "diffusion"]
WINDOWS, HORIZON = 4, 6
# errors of actions, whose mean is 0.26; a diffusion takes longest, so its own loss is looked at too
OVERFITTED = {"l1": 0.02, "discrete": 0.02, "diffusion": 0.17, "autoregressive": 0.02}
NOISE_MSE = 0.1  # 1 before


def small_network(head: str, **changes: object) -> torch.nn.Module:
    preset = load_preset(PRESETS / f"oft_{'l1' if head == 'autoregressive' else head}_small.yaml")
    if head == "autoregressive":
        changes |= {"head": head, "use_proprio": False}
    torch.manual_seed(0)
    return build_network("openvla", {**preset.network, **changes}, NetworkShape(2, 8, 8, HORIZON), "test")


def windows() -> tuple[NetworkInputs, NetworkTargets]:
    """Chunks that only the image and the instruction tell apart."""
    generator = torch.Generator().manual_seed(1)
    images = tuple(torch.randn(WINDOWS, 3, 48, 48, generator=generator) for _ in range(2))
    swing, start = torch.rand(2, WINDOWS, 1, 8, generator=generator)
    actions = (1.6 * swing - 0.8) * torch.sin(3.0 * torch.linspace(0.0, 1.0, HORIZON)[:, None] + 6.0 * start)
    is_pad = torch.zeros(WINDOWS, HORIZON, dtype=torch.bool)
    is_pad[1, 4:] = True
    prompts = ("pick up the cube", "put it down", "pick up the cube", "wave")
    return NetworkInputs(images, torch.zeros(WINDOWS, 8), prompts), NetworkTargets(actions, is_pad)


def repeated(inputs: NetworkInputs, targets: NetworkTargets, times: int) -> tuple[NetworkInputs, NetworkTargets]:
    """The windows several times over, each of which gets its own noise."""
    images = tuple(image.repeat(times, 1, 1, 1) for image in inputs.images)
    return (
        NetworkInputs(images, inputs.state.repeat(times, 1), inputs.prompts * times),
        NetworkTargets(targets.actions.repeat(times, 1, 1), targets.is_pad.repeat(times, 1)),
    )


@pytest.mark.parametrize("head", [*HEADS, "autoregressive"])
def test_it_learns_a_handful_of_windows(head) -> None:
    network = small_network(head)
    inputs, targets = windows()
    optimiser = torch.optim.AdamW(network.parameters())
    noises, steps, rate = (4, 220, 4e-3) if head == "diffusion" else (1, 120, 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    batch = repeated(inputs, targets, noises)
    for _ in range(steps):
        optimiser.zero_grad()
        network.losses(*batch)["loss"].backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    with torch.inference_mode():
        error = (network.eval().predict(inputs) - targets.actions).abs()[~targets.is_pad].mean()
        assert error < OVERFITTED[head]
        assert torch.equal(network.predict(inputs), network.predict(inputs))
        if head == "diffusion":
            assert network.losses(*repeated(inputs, targets, 16))["mse"] < NOISE_MSE


@pytest.mark.parametrize("head", HEADS)
def test_the_preset_trains_and_loads_and_infers(head, tmp_path, record_reaching) -> None:
    for seed in range(3):
        record_reaching(tmp_path / "episodes", seed, 8)
    preset, out = f"oft_{head}_small", tmp_path / "out"
    options = ["--policy", preset, "--steps", "2", "--device", "cpu"]
    assert main(["--episodes", str(tmp_path / "episodes"), "--out", str(out), *options]) == 0
    described = vla_policies.describe(out)
    wanted = {"l1": "l1_mlp_resnet", "discrete": "discrete_bins", "diffusion": "diffusion"}[head]
    assert (described["family"], described["head"], described["train_steps"]) == ("openvla", wanted, 2)
    assert described["normalisation"]["action"]["scheme"] == "oft_bounds"
    assert 700_000 < described["parameters"] < 4_000_000
    policy = vla_policies.load(out)
    with EpisodeReader(next((tmp_path / "episodes").glob("*.hdf5"))) as reader:
        first, again = (policy.infer(reader.observation(0)).actions for _ in range(2))
        assert first.shape == (15, 8)
        np.testing.assert_array_equal(first, again)


def test_a_batch_gives_what_each_of_it_gives_alone() -> None:
    """Prompts of different lengths are padded; padding has no effect."""
    inputs, _ = windows()
    for head in (*HEADS, "autoregressive"):
        network = small_network(head).double().eval()
        for parameter in network.parameters():
            parameter.data += 0.05 * torch.randn_like(parameter)
        inputs = NetworkInputs(tuple(image.double() for image in inputs.images), inputs.state.double(), inputs.prompts)
        with torch.inference_mode():
            together = network.predict(inputs)
            for index in range(WINDOWS):
                alone = network.predict(
                    NetworkInputs(
                        tuple(image[index : index + 1] for image in inputs.images),
                        inputs.state[index : index + 1],
                        inputs.prompts[index : index + 1],
                    )
                )
                torch.testing.assert_close(together[index], alone[0], atol=1e-6, rtol=0.0)


def test_greedy_decoding_with_a_cache_is_the_same_as_without() -> None:
    """The logits with the generated tokens fed in at once have their maxima at the generated tokens."""
    network = small_network("autoregressive").double().eval()
    inputs, _ = windows()
    prompt, context = network._prompt_and_context(
        NetworkInputs(tuple(image.double() for image in inputs.images), inputs.state.double(), inputs.prompts)
    )
    with torch.inference_mode():
        ids = network.generate(prompt, context)
        assert torch.equal(network.next_token_logits(prompt, context, ids).argmax(dim=-1), ids)
    assert len(ids.unique()) > 3
