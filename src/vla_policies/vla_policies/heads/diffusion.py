"""The diffusion head of OpenVLA-OFT: it predicts the noise that was added to a chunk, and DDIM takes it away.

Sources: Song et al., "Denoising Diffusion Implicit Models" (arXiv 2010.02502), equation 12 without noise; Nichol and Dhariwal,
"Improved Denoising Diffusion Probabilistic Models" (arXiv 2102.09672), the cosine schedule; moojink/openvla-oft,
``prismatic/models/action_heads.py``, which uses diffusers' scheduler with steps counted from 0 ("leading").
"""

# calling a torch module gives Any
# mypy: no-warn-return-any
from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from vla_policies.heads.l1_mlp_resnet import MlpResNet, join_slots_of_steps
from vla_policies.heads.masked import masked_mean
from vla_policies.heads.tables import Tables

TRAIN_STEPS = 50
_LARGEST_BETA = 0.999
_CHUNK_WEIGHTS = (0.3, 5.0)  # of errors of the noise: fine detail is learned too, and pure noise does not rule
_LONGEST_PERIOD = 10_000.0


class DdimSchedule(Tables):
    """How much of a chunk is left at a time, and the steps back to it.

    Attributes:
        alphas_cumprod: share of the signal's power at each of the times 0 to ``train_steps`` - 1, float32.
    """

    alphas_cumprod: Tensor

    def __init__(self, train_steps: int = TRAIN_STEPS) -> None:
        times = [time / train_steps for time in range(train_steps + 1)]
        shares = [math.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2 for time in times]
        betas = [min(1.0 - shares[i + 1] / shares[i], _LARGEST_BETA) for i in range(train_steps)]
        signal = 1.0 - torch.tensor(betas, dtype=torch.float32, device="cpu")
        super().__init__(alphas_cumprod=torch.cumprod(signal, dim=0))
        self.train_steps = train_steps

    def times(self, steps: int) -> list[int]:
        """The times of so many steps of inference, falling, the last one is 0. ``steps`` is at most ``train_steps``."""
        if not 0 < steps <= self.train_steps:
            raise ValueError(f"expected from 1 to {self.train_steps} steps, found {steps}")
        stride = self.train_steps // steps
        return [index * stride for index in reversed(range(steps))]

    def add_noise(self, actions: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """Noisy actions (B, K, A) at integer times (B,)."""
        alpha = self.alphas_cumprod.to(actions.dtype)[times.long()][:, None, None]
        return alpha.sqrt() * actions + (1.0 - alpha).sqrt() * noise

    def chunk_weights(self, times: Tensor) -> Tensor:
        """What squared errors of the noise at integer times (B,) are worth as errors of the chunk (B, 1, 1), within bounds.

        The noise in a chunk that is nearly all noise is easy to tell, and says little of the chunk, whose course is decided
        there: a small network that learns from few demonstrations needs that weight. Hang et al., "Efficient Diffusion
        Training via Min-SNR Weighting Strategy" (arXiv 2303.09556), section 3, compares such weights.
        """
        alpha = self.alphas_cumprod[times.long()][:, None, None]
        return ((1.0 - alpha) / alpha).clamp(*_CHUNK_WEIGHTS)

    def step(self, x: Tensor, noise: Tensor, time: int, steps: int) -> Tensor:
        """One of ``steps`` steps back.

        Args:
            x: chunk at ``time``.
            noise: the noise that is predicted to be in it.
            time: one of ``times(steps)``.
            steps: of the whole inference.

        Returns:
            The chunk at the next lower time. What it is taken to be without noise is kept within -1 and 1, but the noise stays
            as it was predicted.
        """
        earlier = time - self.train_steps // steps
        alpha = self.alphas_cumprod[time]
        alpha_earlier = self.alphas_cumprod[earlier] if earlier >= 0 else torch.ones_like(alpha)
        clean = ((x - (1.0 - alpha).sqrt() * noise) / alpha.sqrt()).clamp(-1.0, 1.0)
        return alpha_earlier.sqrt() * clean + (1.0 - alpha_earlier).sqrt() * noise

    def denoise(self, predict: Callable[[Tensor, Tensor], Tensor], noise: Tensor, steps: int) -> Iterator[Tensor]:
        """Takes the noise away; gives the chunk (B, K, A) after every step.

        Args:
            predict: the noise in a chunk (B, K, A) at times (B,) float32.
            noise: the chunk to begin with.
            steps: how many.
        """
        x = noise
        for time in self.times(steps):
            x = self.step(x, predict(x, x.new_full((len(x),), float(time))), time, steps)
            yield x


def time_embedding(times: Tensor, dim: int) -> Tensor:
    """Sinusoidal embedding of times (B,): sines, then cosines (B, dim), of periods from 2 pi to 20000 pi steps."""
    half = dim // 2
    exponents = torch.arange(half, device=times.device) * -(math.log(_LONGEST_PERIOD) / (half - 1))
    angles = times.float()[:, None] * exponents.exp()
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class _NoisePredictor(nn.Module):
    """Only there for its name."""

    def __init__(self, dim: int, action_dim: int) -> None:
        super().__init__()
        self.mlp_resnet = MlpResNet(action_dim * dim, dim, action_dim)


class DiffusionHead(nn.Module):
    """Hidden states of the action slots (B, K * A, d) to the noise in the chunk (B, K, A) that the slots held.

    Attributes:
        schedule: of the noise.
    """

    def __init__(self, dim: int, action_dim: int, train_steps: int = TRAIN_STEPS) -> None:
        super().__init__()
        self.noise_predictor = _NoisePredictor(dim, action_dim)
        self.schedule = DdimSchedule(train_steps)
        self._action_dim = action_dim

    def forward(self, hidden: Tensor) -> Tensor:
        return self.noise_predictor.mlp_resnet(join_slots_of_steps(hidden, self._action_dim))

    def loss(self, predicted: Tensor, noise: Tensor, is_pad: Tensor, weights: Tensor | None = None) -> Tensor:
        """Mean squared error, a scalar, of the noise (B, K, A) in steps that are not padding (B, K); ``weights`` (B, 1, 1)."""
        squared = (predicted - noise).square()
        return masked_mean(squared if weights is None else weights * squared, is_pad)
