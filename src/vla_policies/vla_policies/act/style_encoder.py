"""The encoder half of ACT's conditional variational auto-encoder (CVAE): how this demonstrator did it, as a small latent."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vla_policies.act.position import sine_positions
from vla_policies.act.transformer import Encoder, LayerShape


class StyleEncoder(nn.Module):
    """State and the demonstrated actions to the mean and log-variance of the latent's distribution. Used in training only.

    Source: Zhao et al., "Learning Fine-Grained Bimanual Manipulation with Low-Cost Hardware" (arXiv 2304.13705), figure 4.
    """

    def __init__(
        self, shape: LayerShape, layers: int, latent_dim: int, state_dim: int, action_dim: int, action_horizon: int
    ):
        super().__init__()
        self.cls = nn.Parameter(torch.empty(1, shape.dim).normal_())
        self.state_projection = nn.Linear(state_dim, shape.dim)
        self.action_projection = nn.Linear(action_dim, shape.dim)
        self.encoder = Encoder(shape, layers)
        self.latent_projection = nn.Linear(shape.dim, 2 * latent_dim)
        self.register_buffer("positions", sine_positions(2 + action_horizon, shape.dim), persistent=False)

    def forward(self, state: Tensor, actions: Tensor, is_pad: Tensor) -> tuple[Tensor, Tensor]:
        """State (B, S), actions (B, K, A) and their padding (B, K) bool; returns mu and logvar, each (B, latent_dim)."""
        batch = len(state)
        cls = self.cls.expand(batch, 1, -1)
        tokens = torch.cat([cls, self.state_projection(state)[:, None], self.action_projection(actions)], dim=1)
        never_padded = is_pad.new_zeros((batch, 2))  # the first two tokens
        encoded = self.encoder(tokens, self.positions, torch.cat([never_padded, is_pad], dim=1))
        mu, logvar = self.latent_projection(encoded[:, 0]).chunk(2, dim=-1)
        return mu, logvar


def kl_divergence(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL divergence of N(mu, exp(logvar)) from N(0, 1), summed over the latent's dimensions, mean over the batch: a scalar."""
    return (-0.5 * (1.0 + logvar - mu.square() - logvar.exp())).sum(dim=-1).mean()
