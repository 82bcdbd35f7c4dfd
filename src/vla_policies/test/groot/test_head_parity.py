"""The head against outputs of its reference: weights made from their names, equal outputs on the same inputs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from recipe import Golden, read_golden
from torch import Tensor

from vla_policies.heads.flow_matching_dit import FlowMatchingDitConfig, FlowMatchingDitHead

DECODERS = ("action_decoder.", "action_arm_decoder.", "action_claw_decoder.", "task_log_sigma.")


@pytest.fixture(scope="module")
def golden() -> Golden:
    return read_golden("groot")


def head_of(golden: Golden, **variant: Any) -> FlowMatchingDitHead:
    """With the weights of the variant, of which none is missing and none is left."""
    found = golden.description["config"]
    config = FlowMatchingDitConfig(
        backbone_dim=found["backbone_dim"],
        hidden_dim=found["hidden"],
        heads=found["heads"],
        head_dim=found["head_dim"],
        layers=found["layers"],
        vl_heads=found["vl_heads"],
        vl_layers=found["vl_layers"],
        positions=found["max_seq_len"],
        **variant,
    )
    head = FlowMatchingDitHead(config).eval()
    arm_claw = variant.get("decoder") == "arm_claw"
    mine = DECODERS[:1] if not arm_claw else DECODERS[1:3] if "loss_weighting" not in variant else DECODERS[1:]
    weights = {key.removeprefix("action_head."): tensor for key, tensor in golden.weights.items()}
    head.load_state_dict(
        {key: tensor for key, tensor in weights.items() if key.startswith(mine) or not key.startswith(DECODERS)}
    )
    return head


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0.0, atol=2e-5)


def field(head: FlowMatchingDitHead, golden: Golden) -> Any:
    given = golden.those("in.")
    return head.velocity_field(given["backbone_features"], given["state"][:, 0], given["embodiment_id"])


@torch.no_grad()
@pytest.mark.parametrize(
    ("case", "variant"),
    [
        ("single", {}),
        ("arm_claw_zero_pad_noise", {"decoder": "arm_claw", "pad_noise": "zero"}),
        ("arm_claw_keep_pad_noise", {"decoder": "arm_claw", "pad_noise": "keep"}),
    ],
)
def test_actions_and_every_step_on_the_way(case, variant, golden) -> None:
    head = head_of(golden, **variant)
    velocity, noise = field(head, golden), golden.arrays["in.noise"]
    close(head.sample(velocity, noise), golden.arrays[f"out.{case}.action"])
    close(torch.stack(head.path(velocity, noise)[:-1]), golden.arrays[f"mid.{case}.encoder_input_per_step"])


@torch.no_grad()
def test_what_the_transformer_gets_and_gives(golden) -> None:
    head = head_of(golden)
    given, expected = golden.those("in."), golden.those("mid.")
    embodiment, start = given["embodiment_id"], torch.zeros(2, dtype=torch.int64)
    processed = head.process_features(given["backbone_features"])
    close(processed, expected["vl_features"])
    state_token = head.encode_state(given["state"][:, 0], embodiment)
    close(state_token, expected["state_token"])
    close(head.encode_actions(given["noise"], start, embodiment), expected["first_step_action_tokens"])
    memories = head.model.remember(processed)
    readouts = head.readouts(given["noise"], start, state_token, memories, embodiment)
    close(readouts, expected["first_step_dit_output"])


@torch.no_grad()
@pytest.mark.parametrize(
    ("variant", "outputs"),
    [
        ({}, {"loss": "single.loss"}),
        (
            {"decoder": "arm_claw"},
            {"loss": "arm_claw_fixed_weights.loss", "arm": "arm_loss", "claw": "claw_loss"},
        ),
        (
            {"decoder": "arm_claw", "loss_weighting": "uncertainty"},
            {"loss": "arm_claw_uncertainty.loss", "arm": "arm_loss", "claw": "claw_loss"},
        ),
    ],
)
def test_training_losses(variant, outputs, golden) -> None:
    head = head_of(golden, **variant)
    given = golden.those("in.")
    assert torch.equal(head.buckets(given["train_time"]), golden.arrays["mid.train_buckets"])
    losses = head.losses(
        field(head, golden), given["action"], given["action_mask"], given["train_noise"], given["train_time"]
    )
    assert losses.keys() == outputs.keys()
    for name, output in outputs.items():
        torch.testing.assert_close(losses[name], golden.arrays[f"out.{output}"], rtol=1e-5, atol=0.0)
