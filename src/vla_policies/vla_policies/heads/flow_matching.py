"""The action heads of pi0 and pi0.5: a field of velocities carries noise to actions, and an action expert gives the velocities.

Time t is 1 at the noise and 0 at the actions: ``x_t = t * noise + (1 - t) * actions``, and the velocity is that of x as t
grows, ``noise - actions``. Source: Black et al., "pi0: A Vision-Language-Action Flow Model for General Robot Control" (arXiv
2410.24164), sections IV and appendix B, with the direction of time and the numbers of Physical-Intelligence/openpi.
"""

# calling a torch module gives Any
# mypy: no-warn-return-any
from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vla_policies.heads.masked import masked_mean

SHORTEST_PERIOD, LONGEST_PERIOD = 4e-3, 4.0
_BETA = 1.5  # of the distribution Beta(1.5, 1) of times in training, which prefers noise
_TIME_SPAN, _EARLIEST_TIME = 0.999, 0.001

Conditioning = Literal["concat_time", "ada_rms"]
Velocity = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class FlowShape:
    """Sizes and variant of the head.

    Attributes:
        width: of the action expert.
        action_dim: A, of the padded actions.
        state_dim: S, of the state that becomes a token; 0: there is no such token.
        conditioning: how the expert learns the time. ``concat_time`` (pi0): mixed into every action's token. ``ada_rms``
            (pi0.5): as a vector that scales, shifts and gates every layer.
    """

    width: int
    action_dim: int
    state_dim: int
    conditioning: Conditioning

    def __post_init__(self) -> None:
        if self.state_dim and self.conditioning == "ada_rms":
            raise ValueError("expected no token of the state (state_dim 0) with 'ada_rms', as in pi0.5")


class SuffixTokens(NamedTuple):
    """What the action expert works on.

    Attributes:
        tokens: (B, n, d): the state's token, if there is one, then one for each of the K actions.
        starts: (n,) bool, True where a token begins a block that the blocks before it do not see.
        condition: (B, 1, d) or (B, K, d) for adaptive norms, or None.
    """

    tokens: Tensor
    starts: Tensor
    condition: Tensor | None


class FlowMatchingHead(nn.Module, ABC):
    """Features to actions (B, K, A) by way of velocities. A subclass has the action expert, and says what features are.

    Parameter names are those of openpi.
    """

    def __init__(self, shape: FlowShape) -> None:
        super().__init__()
        width = shape.width
        self.shape = shape
        self.action_in_proj = nn.Linear(shape.action_dim, width)
        self.action_out_proj = nn.Linear(width, shape.action_dim)
        if shape.state_dim:
            self.state_proj = nn.Linear(shape.state_dim, width)
        if shape.conditioning == "concat_time":
            self.action_time_mlp_in = nn.Linear(2 * width, width)
            self.action_time_mlp_out = nn.Linear(width, width)
        else:
            self.time_mlp_in = nn.Linear(width, width)
            self.time_mlp_out = nn.Linear(width, width)

    @abstractmethod
    def expert(self, suffix: SuffixTokens, features: Any) -> Tensor:
        """The action expert: tokens (B, n, d) to readouts (B, n, d), given what it knows of the observation."""

    def suffix(self, x: Tensor, time: Tensor, state: Tensor | None) -> SuffixTokens:
        """The expert's tokens for noisy actions (B, K, A), times (B,) or (B, K), and the state (B, S) if it is a token."""
        embedded = time_embedding(time if time.dim() == 2 else time[:, None], self.shape.width).to(x.dtype)
        tokens, condition = self.action_in_proj(x), None
        if self.shape.conditioning == "concat_time":
            mixed = torch.cat([tokens, embedded.expand_as(tokens)], dim=-1)
            tokens = self.action_time_mlp_out(F.silu(self.action_time_mlp_in(mixed)))
        else:
            condition = F.silu(self.time_mlp_out(F.silu(self.time_mlp_in(embedded))))
        if self.shape.state_dim:
            if state is None:
                raise ValueError("expected the state, which is a token of this head, found None")
            tokens = torch.cat([self.state_proj(state)[:, None], tokens], dim=1)
        starts = torch.zeros(tokens.shape[1], dtype=torch.bool, device=x.device)
        starts[0] = starts[-x.shape[1]] = True  # of the state, if it is there, and of the actions
        return SuffixTokens(tokens, starts, condition)

    def velocity(self, x: Tensor, time: Tensor, state: Tensor | None, features: Any) -> Tensor:
        """Velocities (B, K, A) of noisy actions (B, K, A) at times (B,), or (B, K) if every action has its own."""
        readouts = self.expert(self.suffix(x, time, state), features)
        return self.action_out_proj(readouts[:, -x.shape[1] :].to(x.dtype))

    def sample(self, noise: Tensor, times: Tensor, state: Tensor | None, features: Any) -> Tensor:
        """Carries noise (B, K, A) to actions (B, K, A), one step at each of the times (N,), see :func:`euler_times`."""
        return integrate(lambda x, time: self.velocity(x, time, state, features), noise, times)[-1]

    def loss(self, errors: Tensor, is_pad: Tensor) -> Tensor:
        """The mean, a scalar, of errors (B, K, A) over the steps that are not padding (B, K)."""
        return masked_mean(errors, is_pad)

    def errors(self, actions: Tensor, noise: Tensor, time: Tensor, state: Tensor | None, features: Any) -> Tensor:
        """Squared errors (B, K, A) of the velocities between noise and actions (B, K, A) at times (B,) or (B, K)."""
        predicted = self.velocity(interpolated(actions, noise, time), time, state, features)
        return (predicted - (noise - actions)).square()


def interpolated(actions: Tensor, noise: Tensor, time: Tensor) -> Tensor:
    """What lies between actions (t = 0) and noise (t = 1), all (B, K, A), at times (B,) or (B, K)."""
    share = (time if time.dim() == 2 else time[:, None])[..., None]
    return share * noise + (1.0 - share) * actions


def sample_times(batch: int, device: torch.device, generator: torch.Generator | None = None) -> Tensor:
    """Times (B,) to train at, from Beta(1.5, 1) scaled to [0.001, 1]: closer to the noise, where the way is not yet clear."""
    uniform = torch.rand(batch, device=device, generator=generator)
    # the distribution function of Beta(a, 1) is t^a
    return uniform.pow(1.0 / _BETA) * _TIME_SPAN + _EARLIEST_TIME


def time_embedding(time: Tensor, width: int) -> Tensor:
    """Sines, then cosines, of times (...), with periods from 0.004 to 4; (..., width) in the type of the times.

    The angles reach 1571 rad, so they are computed in 64 bits.
    """
    share = torch.linspace(0.0, 1.0, width // 2, dtype=torch.float64, device=time.device)
    period = SHORTEST_PERIOD * (LONGEST_PERIOD / SHORTEST_PERIOD) ** share
    angle = 2.0 * math.pi * time.double()[..., None] / period
    return torch.cat([angle.sin(), angle.cos()], dim=-1).to(time.dtype)


def euler_times(steps: int, device: torch.device | str = "cpu", accumulated: bool = True) -> Tensor:
    """The times (N,) float32 of the evaluations, 1, 1 - 1/N, ..., 1/N.

    Args:
        steps: N.
        device: where to.
        accumulated: sum up the step in 32 bits, as openpi does; LeRobot computes every time anew. The fastest time embedding
            turns such a difference of the last bit into one of 1e-4 in the actions.
    """
    if not accumulated:
        return torch.tensor([1.0 - index / steps for index in range(steps)], device=device)
    times = [torch.tensor(1.0, device="cpu")]
    step = torch.tensor(-1.0 / steps, device="cpu")
    for _ in range(steps - 1):
        times.append(times[-1] + step)
    return torch.stack(times).to(device)


def integrate(velocity: Velocity, noise: Tensor, times: Tensor) -> list[Tensor]:
    """Euler's method from noise (B, K, A): x after a step of -1/N at each of the times (N,).

    Args:
        velocity: of x (B, K, A) at times (B,).
        noise: x at the first time.
        times: as :func:`euler_times` makes them.
    """
    step = noise.new_full((), -1.0 / len(times))
    path, x = [], noise
    for time in times.to(noise.dtype):
        x = x + step * velocity(x, time.expand(len(x)))
        path.append(x)
    return path
