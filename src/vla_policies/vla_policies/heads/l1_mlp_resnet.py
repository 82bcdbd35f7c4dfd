"""The action head of OpenVLA-OFT: an MLP with residual blocks, trained with an L1 loss.

Source: Kim et al., "Fine-Tuning Vision-Language-Action Models" (arXiv 2502.19645), and moojink/openvla-oft,
``prismatic/models/action_heads.py``. The parameter names are those of its ``action_head--*_checkpoint.pt``.
"""

# calling a torch module gives Any
# mypy: no-warn-return-any
from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from vla_policies.heads.masked import masked_mean

BLOCKS = 2


class _ResidualBlock(nn.Module):
    """``x + relu(linear(norm(x)))``."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.ffn = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, dim), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return x + self.ffn(x)


class MlpResNet(nn.Module):
    """Vectors (..., dim_in) to (..., dim_out) by way of residual blocks that are ``dim`` wide."""

    def __init__(self, dim_in: int, dim: int, dim_out: int, blocks: int = BLOCKS) -> None:
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(dim_in)
        self.fc1 = nn.Linear(dim_in, dim)
        self.mlp_resnet_blocks = nn.ModuleList(_ResidualBlock(dim) for _ in range(blocks))
        self.layer_norm2 = nn.LayerNorm(dim)
        self.fc2 = nn.Linear(dim, dim_out)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.fc1(self.layer_norm1(x)))
        for block in self.mlp_resnet_blocks:
            x = block(x)
        return self.fc2(self.layer_norm2(x))


class L1MlpResNetHead(nn.Module):
    """Hidden states of the action slots (B, K * A, d) to normalised actions (B, K, A).

    There is one slot for every number of the chunk, step by step; those of a step are joined, so that the MLP sees A * d numbers
    and gives the A of that step.
    """

    def __init__(self, dim: int, action_dim: int) -> None:
        super().__init__()
        self.model = MlpResNet(action_dim * dim, dim, action_dim)
        self._action_dim = action_dim

    def forward(self, hidden: Tensor) -> Tensor:
        return self.model(join_slots_of_steps(hidden, self._action_dim))

    def loss(self, predicted: Tensor, actions: Tensor, is_pad: Tensor) -> Tensor:
        """Mean absolute error, a scalar, of actions (B, K, A) of which the steps ``is_pad`` (B, K) do not count."""
        return masked_mean((predicted - actions).abs(), is_pad)


def join_slots_of_steps(hidden: Tensor, action_dim: int) -> Tensor:
    """Hidden states (B, K * A, d) to one vector per step (B, K, A * d)."""
    return hidden.reshape(len(hidden), -1, action_dim * hidden.shape[-1])
