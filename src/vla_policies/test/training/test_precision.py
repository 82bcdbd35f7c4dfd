"""bf16 and gradient checkpointing."""

from __future__ import annotations

import pytest
import torch
from training_runs import preset, settings, trainer

from vla_core.errors import ConfigError
from vla_policies.training.loop import train
from vla_policies.training.recomputing import recompute

SMALL = (
    "act_small",
    "crossformer_small",
    "groot_small",
    "oft_l1_small",
    "oft_diffusion_small",
    "pi0_small",
    "pi05_small",
)


@pytest.mark.parametrize("name", SMALL)
def test_losses_in_16_bits_are_close_and_their_weights_have_32(name, episodes) -> None:
    plain, half = (trainer(preset(name, precision=precision), episodes) for precision in ("float32", "bfloat16"))
    expected, found = plain.step(0)[0]["loss"], half.step(0)[0]["loss"]
    assert found == pytest.approx(expected, rel=0.05)
    assert found != expected
    assert {weight.dtype for weight in half.network.parameters()} == {torch.float32}
    assert {tensor.dtype for state in half.optimiser.state.values() for tensor in state.values()} == {torch.float32}


@pytest.mark.parametrize("name", SMALL)
def test_recomputed_layers_give_the_same_gradients(name, episodes) -> None:
    plain, lean = (trainer(preset(name, gradient_checkpointing=wanted), episodes) for wanted in (False, True))
    for step in range(2):
        assert lean.step(step) == plain.step(step)
    weights = plain.network.state_dict()
    assert lean.network.state_dict().keys() == weights.keys()
    for key, tensor in lean.network.state_dict().items():
        assert torch.equal(tensor, weights[key]), key


def test_recomputing_keeps_less_for_the_gradients(episodes) -> None:
    assert _kept(episodes, gradient_checkpointing=True) < 0.6 * _kept(episodes, gradient_checkpointing=False)


def test_a_network_without_such_layers_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"gradient_checkpointing: expected a network with .*transformer.layers.\*, found"
    ):
        recompute(torch.nn.Linear(2, 2), "crossformer", "gradient_checkpointing")


def test_both_together_train_and_resume(episodes, tmp_path) -> None:
    config = settings(precision="bfloat16", gradient_checkpointing=True)
    train(config, episodes, tmp_path / "whole")
    steps = iter(range(9))
    train(config, episodes, tmp_path / "parts", should_stop=lambda: next(steps) == 2)
    train(config, episodes, tmp_path / "parts", resume=True)
    whole, parts = (tmp_path / name / "model.safetensors" for name in ("whole", "parts"))
    assert whole.read_bytes() == parts.read_bytes()


def _kept(episodes, **optimisation) -> int:
    """Numbers that the losses of a step keep for their gradients."""
    run = trainer(preset("oft_l1_small", **optimisation), episodes)
    kept = 0

    def count(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal kept
        kept += tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        run.losses(0)
    return kept
