"""The heads of OpenVLA-OFT give the numbers of the reference: MLP-ResNet, projectors, DDIM, bins."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recipe import Golden, read_golden
from torch import Tensor, nn

from vla_policies.heads.diffusion import DdimSchedule, DiffusionHead, time_embedding
from vla_policies.heads.discrete_bins import DiscreteBins
from vla_policies.heads.l1_mlp_resnet import L1MlpResNetHead
from vla_policies.openvla.projectors import TokenProjector
from vla_policies.openvla.sequence import SequenceLayout

TOLERANCE = 1e-5
TABLES = 1e-9


@pytest.fixture(scope="module")
def golden() -> Golden:
    return read_golden("oft")


def close(actual: Tensor, expected: Tensor, tolerance: float = TOLERANCE) -> None:
    torch.testing.assert_close(actual, expected, atol=tolerance, rtol=0.0)


def filled(module: nn.Module, golden: Golden, file: str) -> nn.Module:
    weights = {key.removeprefix(f"{file}/"): w for key, w in golden.weights.items() if key.startswith(f"{file}/")}
    module.load_state_dict(weights, strict=True)
    return module


@torch.no_grad()
def test_the_mlp_resnet_heads(golden) -> None:
    hidden = golden.arrays["in.hidden_states"]
    close(filled(L1MlpResNetHead(16, 7), golden, "action_head")(hidden), golden.arrays["out.l1_actions"])
    close(filled(DiffusionHead(16, 7), golden, "diffusion_action_head")(hidden), golden.arrays["out.noise_pred"])


@torch.no_grad()
def test_the_projectors(golden) -> None:
    proprio = filled(TokenProjector(8, 16), golden, "proprio_projector")
    close(proprio(golden.arrays["in.proprio"]), golden.arrays["out.proprio_tokens"])
    noisy = filled(TokenProjector(1, 16), golden, "noisy_action_projector")
    close(noisy(golden.arrays["in.noisy_tokens"]), golden.arrays["out.noisy_tokens"])


def test_the_time_embedding(golden) -> None:
    close(time_embedding(golden.arrays["in.diffusion_times"], 16), golden.arrays["out.time_embedding"])


@pytest.mark.parametrize(("case", "steps", "stride"), [("few", 10, 1), ("all", 50, 5)])
def test_the_steps_of_ddim(case, steps, stride, golden) -> None:
    schedule = DdimSchedule()
    close(schedule.alphas_cumprod, golden.arrays["mid.alphas_cumprod"], 1e-7)
    times = schedule.times(steps)
    assert times == golden.arrays[f"mid.ddim_{case}_timesteps"].tolist()
    sample, noise = golden.arrays["in.ddim_sample"], golden.arrays["in.ddim_eps"]
    stepped = [schedule.step(sample, noise, time, steps)[0] for time in times[::stride]]
    close(torch.stack(stepped), golden.arrays[f"out.ddim_{case}_single_step"])


def test_what_noise_is_added_is_taken_away_again() -> None:
    schedule = DdimSchedule()
    actions, noise = torch.rand(2, 3, 4) - 0.5, torch.randn(2, 3, 4)
    noisy = schedule.add_noise(actions, noise, torch.tensor([0, 0]))
    close(schedule.step(noisy, noise, 0, 50), actions)
    late = schedule.add_noise(actions, noise, torch.tensor([49, 49]))
    assert (late - noise).abs().max() < 0.05


def test_the_bins(golden) -> None:
    bins, arrays = DiscreteBins(32000), golden.arrays
    close(bins.centres, arrays["table.bin_centers"], TABLES)
    assert torch.equal(bins.encode(arrays["in.table_values"]), arrays["table.encoded_ids"])
    close(bins.decode(arrays["in.table_ids"]), arrays["table.decoded"], TABLES)


def test_every_bin_comes_back_as_itself() -> None:
    bins = DiscreteBins(600, 16)
    ids = torch.arange(600 - 15, 600)
    assert torch.equal(bins.encode(bins.decode(ids)), ids)
    assert bins.decode(torch.tensor([0, 599, 600, 640])).tolist() == [bins.centres[-1], *[bins.centres[0]] * 3]


def test_the_places_in_the_sequence(golden) -> None:
    for patches, images, proprio, time, prompt, action_dim, horizon, *expected in golden.arrays["table.slots"].tolist():
        layout = SequenceLayout(patches * images + proprio + time, prompt, action_dim * horizon)
        found = [
            layout.readouts.start,
            layout.readouts.stop,
            layout.first_slot,
            layout.end_of_slots,
            layout.length,
        ]
        assert found == expected


# ---------------------------------------------------------------- losses


def test_losses_do_not_see_padding() -> None:
    actions = torch.rand(2, 3, 4) - 0.5
    is_pad = torch.tensor([[False, False, True], [False, True, True]])
    wrong = actions.clone()
    wrong[is_pad] += 5.0
    assert L1MlpResNetHead(8, 4).loss(wrong, actions, is_pad) == 0.0
    assert DiffusionHead(8, 4).loss(wrong, actions, is_pad) == 0.0
    wrong[0, 0] += 1.0
    assert L1MlpResNetHead(8, 4).loss(wrong, actions, is_pad).item() == pytest.approx(1.0 / 3.0)
    assert DiffusionHead(8, 4).loss(wrong, actions, is_pad).item() == pytest.approx(1.0 / 3.0)
    assert L1MlpResNetHead(8, 4).loss(wrong, actions, torch.ones(2, 3, dtype=torch.bool)) == 0.0


def test_weighted_errors_of_the_noise_are_errors_of_the_chunk_within_bounds() -> None:
    head = DiffusionHead(8, 4)
    actions, noise, wrong = (torch.rand(50, 3, 4, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2, 3))
    times = torch.arange(50)
    alpha = head.schedule.alphas_cumprod[:, None, None]
    noisy = head.schedule.add_noise(actions, noise, times)
    implied = (noisy - (1.0 - alpha).sqrt() * wrong) / alpha.sqrt()
    weights = head.schedule.chunk_weights(times)
    inner = (weights > 0.3).flatten() & (weights < 5.0).flatten()
    assert 10 < inner.sum() < 40
    weighted = head.loss(wrong[inner], noise[inner], torch.zeros(int(inner.sum()), 3, dtype=torch.bool), weights[inner])
    np.testing.assert_allclose(weighted, (implied - actions)[inner].square().mean(), rtol=1e-4)
    assert (weights[:2] == np.float32(0.3)).all()
    assert (weights[-3:] == 5.0).all()


def test_the_loss_of_the_bins_is_a_cross_entropy() -> None:
    bins = DiscreteBins(300, 16)
    actions = torch.rand(1, 2, 3) * 2 - 1
    is_pad = torch.tensor([[False, True]])
    logits = torch.randn(1, 6, 320)
    chosen = logits[0].log_softmax(-1)[torch.arange(6), bins.encode(actions).flatten()]
    np.testing.assert_allclose(bins.loss(logits, actions, is_pad), -chosen[:3].mean(), rtol=1e-5)
