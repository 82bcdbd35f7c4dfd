"""The action head of ACT: every readout becomes an action, trained with an L1 loss."""

# calling a torch module gives Any
# mypy: no-warn-return-any
from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

Denominator = Literal["all", "valid"]


class L1RegressionHead(nn.Module):
    """Readouts (B, K, d) to normalised actions (B, K, A).

    Attributes:
        denominator: by what the summed error is divided. ``all``: by every element, padded ones too, so that windows at the
            end of an episode weigh less (tonyzhaozh/act). ``valid``: by the elements that are not padding (LeRobot).
    """

    def __init__(self, dim: int, action_dim: int, denominator: Denominator) -> None:
        super().__init__()
        self.projection = nn.Linear(dim, action_dim)
        self.denominator = denominator

    def forward(self, readouts: Tensor) -> Tensor:
        return self.projection(readouts)

    def loss(self, predicted: Tensor, actions: Tensor, is_pad: Tensor) -> Tensor:
        """L1 loss, a scalar, of actions (B, K, A) of which the steps ``is_pad`` (B, K) do not count."""
        valid = ~is_pad[..., None]
        error = ((predicted - actions).abs() * valid).sum()
        if self.denominator == "all":
            return error / predicted.numel()
        # a batch of nothing but padding has the error 0, as in LeRobot
        count = (valid.sum() * predicted.shape[-1]).clamp_min(1)
        return error / count
