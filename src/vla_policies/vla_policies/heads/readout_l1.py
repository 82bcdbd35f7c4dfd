"""The action head of CrossFormer: each readout token of a robot becomes one action of its chunk, trained with an L1 loss.

Every embodiment has a head of its own, with its own number of readouts and of action dimensions.
Source: Doshi et al., "Scaling Cross-Embodied Learning" (arXiv 2408.11812), section 3.2.
"""

# calling a torch module gives Any
# mypy: no-warn-return-any
from __future__ import annotations

from torch import Tensor, nn

_SMALLEST_SHARE = 1e-5  # of valid elements: a batch without any has the loss 0


class ReadoutL1Head(nn.Module):
    """Readouts (..., K, d) to normalised actions (..., K, A).

    Attributes:
        horizon: K, the number of readouts.
        action_dim: A.
        max_action: actions are squashed into plus and minus this by a tanh; None: they are not, as in the published weights.
    """

    def __init__(self, dim: int, horizon: int, action_dim: int, max_action: float | None = None) -> None:
        super().__init__()
        self.mean_proj = nn.Linear(dim, action_dim)
        self.horizon = horizon
        self.action_dim = action_dim
        self.max_action = max_action

    def forward(self, readouts: Tensor) -> Tensor:
        actions = self.mean_proj(readouts)
        if self.max_action is None:
            return actions
        return (actions / self.max_action).tanh() * self.max_action

    def loss(self, predicted: Tensor, actions: Tensor, counts: Tensor) -> dict[str, Tensor]:
        """Mean errors over the elements that count, scalars: ``l1``, which is trained, and ``mse``, to look at.

        Args:
            predicted: (..., K, A) of this head.
            actions: (..., K', A') normalised, with K' and A' those of the largest head of a mixed batch.
            counts: bool, of the shape of ``actions`` or one that broadcasts to it: False for padding in time, for dimensions that
                the robot lacks, and for samples of robots that another head acts for.
        """
        wanted = actions[..., : self.horizon, : self.action_dim]
        weight = counts.expand_as(actions)[..., : self.horizon, : self.action_dim].to(predicted.dtype)
        share = weight.mean().clamp_min(_SMALLEST_SHARE)
        error = predicted - wanted
        return {"l1": (error.abs() * weight).mean() / share, "mse": (error.square() * weight).mean() / share}
