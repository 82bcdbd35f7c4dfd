"""Small networks that make tokens for the language model of OpenVLA. The parameter names are those of its checkpoints."""

# calling a torch module gives Any
# mypy: no-warn-return-any
from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class PatchProjector(nn.Module):
    """Patches of both towers (B, n, dim_in) to tokens (B, n, dim)."""

    def __init__(self, dim_in: int, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim_in, 4 * dim_in)
        self.fc2 = nn.Linear(4 * dim_in, dim)
        self.fc3 = nn.Linear(dim, dim)

    def forward(self, patches: Tensor) -> Tensor:
        return self.fc3(F.gelu(self.fc2(F.gelu(self.fc1(patches)))))


class TokenProjector(nn.Module):
    """Numbers (..., dim_in) to a token (..., dim): proprioception as a whole, a noisy action number by number."""

    def __init__(self, dim_in: int, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim_in, dim)
        self.fc2 = nn.Linear(dim, dim)

    def forward(self, numbers: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(numbers)))
