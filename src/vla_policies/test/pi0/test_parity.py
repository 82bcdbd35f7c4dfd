"""pi0 and pi0.5 give the numbers of openpi, in the middle and at the end."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from vla_policies.heads import flow_matching
from vla_policies.pi0.masks import block_mask, positions, suffix_mask
from vla_policies.pi0.paligemma import cast_towers

TOLERANCE = 2e-5
WITH_EXACT_TIMES = 2e-4


def close(actual: Tensor, expected: Tensor, tolerance: float = TOLERANCE) -> None:
    torch.testing.assert_close(actual, expected, atol=tolerance, rtol=0.0)


@pytest.fixture(scope="module", autouse=True)
def _without_gradients():
    with torch.no_grad():
        yield


def test_the_weights_have_the_names_and_shapes_of_the_network(variant) -> None:
    expected = {key: tuple(tensor.shape) for key, tensor in variant.golden.weights.items()}
    assert {key: tuple(tensor.shape) for key, tensor in variant.model.state_dict().items()} == expected


def test_the_prefix(variant) -> None:
    embedded, valid = variant.model.embed_prefix(*variant.observation)
    close(embedded, variant.mid("prefix_embeddings"))
    assert torch.equal(valid, variant.mid("prefix_pad_mask"))


def test_time_embedding(variant) -> None:
    expected = variant.mid("time_embedding")
    close(flow_matching.time_embedding(variant.input("time_embed_times"), expected.shape[-1]), expected, 1e-6)


def test_the_suffix(variant) -> None:
    noise = variant.input("noise")
    suffix = variant.model.suffix(noise, torch.ones(len(noise)), variant.state)
    close(suffix.tokens, variant.mid("suffix_embeddings_t1"))
    assert torch.equal(suffix.starts.expand(len(noise), -1), variant.mid("suffix_att_mask").bool())
    if variant.name == "pi05":
        assert suffix.condition is not None
        close(suffix.condition[:, 0], variant.mid("adarms_cond_t1"))
    else:
        assert suffix.condition is None


def test_masks_and_positions(variant) -> None:
    known, starts = variant.mid("prefix_pad_mask"), variant.mid("suffix_att_mask")[0].bool()
    everything = torch.cat([known, known.new_ones((len(known), len(starts)))], dim=1)
    blocks = torch.cat([variant.mid("prefix_att_mask")[0].bool(), starts])
    expected = variant.mid("attention_mask")
    assert torch.equal(block_mask(blocks, everything), expected)
    assert torch.equal(suffix_mask(starts, known), expected[:, known.shape[1] :])
    assert torch.equal(positions(everything), variant.mid("position_ids"))


def test_a_velocity(variant) -> None:
    noise, prefix = variant.input("noise"), variant.model.encode(*variant.observation)
    close(variant.model.velocity(noise, torch.ones(len(noise)), variant.state, prefix), variant.mid("first_velocity"))


def test_actions_and_every_step_to_them(variant) -> None:
    prefix, times = variant.model.encode(*variant.observation), flow_matching.euler_times(10)
    assert torch.equal(times, variant.mid("step_times"))

    def velocity(x: Tensor, time: Tensor) -> Tensor:
        return variant.model.velocity(x, time, variant.state, prefix)

    for step, x in enumerate(flow_matching.integrate(velocity, variant.input("noise"), times)):
        close(x, variant.mid("x_after_step")[step])
    close(variant.model.sample(variant.input("noise"), times, variant.state, prefix), variant.out("actions"))


def test_actions_with_times_that_are_computed_anew(variant) -> None:
    prefix, times = variant.model.encode(*variant.observation), flow_matching.euler_times(10, accumulated=False)
    sampled = variant.model.sample(variant.input("noise"), times, variant.state, prefix)
    close(sampled, variant.out("actions"), WITH_EXACT_TIMES)


def test_losses(variant) -> None:
    actions, noise, time = (variant.input(f"train_{name}") for name in ("actions", "noise", "time"))
    close(flow_matching.interpolated(actions, noise, time), variant.mid("train_x_t"), 1e-6)
    prefix = variant.model.encode(*variant.observation)
    errors = variant.model.errors(actions, noise, time, variant.state, prefix)
    close(errors, variant.out("train_loss_elementwise"))
    nothing_padded = torch.zeros(actions.shape[:2], dtype=torch.bool)
    close(variant.model.loss(errors, nothing_padded), variant.out("train_loss"))


def test_padded_steps_are_not_in_the_loss(variant) -> None:
    errors = variant.out("train_loss_elementwise")
    is_pad = torch.tensor([[False] * 4 + [True] * 2, [False] * 6])
    expected = torch.cat([errors[0, :4], errors[1]]).mean()
    close(variant.model.loss(errors, is_pad), expected, 1e-6)


def test_a_masked_camera_is_as_good_as_none(variant) -> None:
    """What is in its place has no effect, and neither has it that there is a place."""
    images, masks, tokens, token_mask = variant.observation
    second_only = (images[1:], masks[1:] | True, tokens, token_mask)
    masked = ((torch.randn_like(images[0]), images[1]), torch.tensor([[False] * 2, [True] * 2]), tokens, token_mask)
    noise, times = variant.input("noise"), flow_matching.euler_times(3)
    left_out, hidden = (
        variant.model.sample(noise, times, variant.state, variant.model.encode(*observation))
        for observation in (second_only, masked)
    )
    close(hidden, left_out)


def test_every_action_may_have_its_own_time(variant) -> None:
    """A time for each action is a time for all where they are the same."""
    noise, prefix = variant.input("noise"), variant.model.encode(*variant.observation)
    one = variant.model.velocity(noise, torch.full((2,), 0.3), variant.state, prefix)
    each = variant.model.velocity(noise, torch.full(noise.shape[:2], 0.3), variant.state, prefix)
    close(each, one, 1e-6)


def test_in_16_bits_the_actions_are_about_the_same(variant) -> None:
    model = copy.deepcopy(variant.model)
    cast_towers(model.paligemma_with_expert, torch.bfloat16)
    prefix = model.encode(*variant.observation)
    assert prefix.layers[0].keys.dtype == torch.bfloat16
    velocity = model.velocity(variant.input("noise"), torch.ones(2), variant.state, prefix)
    assert velocity.dtype == torch.float32
    close(velocity, variant.mid("first_velocity"), 0.1)  # of values up to about 4
