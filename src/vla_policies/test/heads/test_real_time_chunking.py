"""Real-time chunking gives the numbers of the reference, and works with heads whose time runs either way."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from recipe import Golden, read_golden
from torch import Tensor

from vla_policies.heads.flow_matching import integrate
from vla_policies.heads.real_time_chunking import (
    Guidance,
    guidance_weight,
    guided_velocity,
    prefix_weights,
    reversed_time,
)

GOLDEN = read_golden("rtc")
CASES = {case["name"]: case for case in GOLDEN.description["config"]["cases"]}
SCHEDULES = ("linear", "exp", "ones", "zeros")
HORIZON = GOLDEN.description["config"]["horizon"]
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}


def toy_flow(golden: Golden, dtype: torch.dtype) -> Callable[[Tensor, Tensor], Tensor]:
    """The reference's flow over progress."""
    weights = {key.removeprefix("toy."): tensor.to(dtype) for key, tensor in golden.weights.items()}
    observed = golden.arrays["in.obs"].to(dtype) @ weights["W_obs"]

    def velocity(x: Tensor, time: Tensor) -> Tensor:
        hidden = x.flatten(1) @ weights["W1"] + weights["b1"] + time[:, None] * weights["w_time"] + observed
        return (hidden.tanh() @ weights["W2"] + weights["c"] * time[:, None]).reshape(x.shape)

    return velocity


def path(field: Callable[[Tensor, Tensor], Tensor], case: str, dtype: torch.dtype) -> Tensor:
    """x after each step from the noise, along a field over progress."""
    times = 1.0 - GOLDEN.arrays[f"mid.{case}.times"].to(dtype)
    return torch.stack(integrate(reversed_time(field), GOLDEN.arrays["in.noise"].to(dtype), times))


def guidance_of(case: str) -> Guidance:
    settings, config = CASES[case], GOLDEN.description["config"]
    return Guidance(settings["d"], settings["s"], settings["schedule"], config["max_guidance_weight"])


def close(actual: Tensor, expected: Tensor, tolerance: float = 1e-9) -> None:
    torch.testing.assert_close(actual, expected.to(actual.dtype), atol=tolerance, rtol=0.0)


def test_the_toy_flow_is_the_references() -> None:
    flow = toy_flow(GOLDEN, torch.float64)
    velocity = flow(GOLDEN.arrays["in.noise"], torch.full((2,), 0.3, dtype=torch.float64))
    close(velocity, GOLDEN.arrays["mid.velocity_of_noise_at_0.3"])


@pytest.mark.parametrize("row", range(len(GOLDEN.arrays["table.params"])))
def test_weights_of_the_old_chunk(row) -> None:
    delay, execution, horizon, schedule = GOLDEN.arrays["table.params"][row].tolist()
    weights = prefix_weights(Guidance(delay, execution, SCHEDULES[schedule]), horizon)
    close(weights, GOLDEN.arrays["table.weights"][row, :horizon])


@pytest.mark.parametrize("case", CASES)
def test_guidance_weight(case) -> None:
    weights = guidance_weight(GOLDEN.arrays[f"mid.{case}.times"], GOLDEN.description["config"]["max_guidance_weight"])
    close(weights, GOLDEN.arrays[f"mid.{case}.guidance_weight"])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("case", CASES)
def test_every_step_with_and_without_guidance(case, dtype) -> None:
    flow, guidance = toy_flow(GOLDEN, dtype), guidance_of(case)
    close(path(flow, case, dtype), GOLDEN.arrays[f"out.{case}.unguided_x"], TOLERANCE[dtype])
    weights = prefix_weights(guidance, HORIZON)
    close(weights, GOLDEN.arrays[f"mid.{case}.weights"])
    previous = GOLDEN.arrays["in.prev_chunk"].to(dtype)
    guided = guided_velocity(flow, previous, weights, guidance.max_weight)
    with torch.no_grad():  # as in inference
        close(path(guided, case, dtype), GOLDEN.arrays[f"out.{case}.guided_x"], TOLERANCE[dtype])


def test_what_the_old_chunk_holds_where_the_new_one_is_free_has_no_effect() -> None:
    flow, guidance = toy_flow(GOLDEN, torch.float64), guidance_of("a")
    weights = prefix_weights(guidance, HORIZON)
    other = GOLDEN.arrays["in.prev_chunk"].clone()
    other[:, HORIZON - guidance.execution_horizon :] += 100.0
    guided = guided_velocity(flow, other, weights, guidance.max_weight)
    close(path(guided, "a", torch.float64), GOLDEN.arrays["out.a.guided_x"])


def test_impossible_guidance() -> None:
    with pytest.raises(ValueError, match="expected delay, execution_horizon and max_weight of at least 0, found -1"):
        Guidance(-1, 3)
