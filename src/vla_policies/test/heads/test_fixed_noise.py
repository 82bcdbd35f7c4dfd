"""The noise that every chunk is made of."""

from __future__ import annotations

import torch

from vla_policies.heads.fixed_noise import FixedNoise


def test_a_seed_names_the_noise_and_a_scale_shrinks_it_to_its_mean() -> None:
    whole = FixedNoise(400, 8, seed=3).noise
    assert whole.shape == (1, 400, 8)
    assert abs(whole.std().item() - 1.0) < 0.05
    assert torch.equal(whole, FixedNoise(400, 8, seed=3).noise)
    assert not torch.equal(whole, FixedNoise(400, 8, seed=4).noise)
    assert torch.equal(FixedNoise(400, 8, seed=3, scale=0.5).noise, 0.5 * whole)
    assert not FixedNoise(400, 8, seed=3, scale=0.0).noise.any()
