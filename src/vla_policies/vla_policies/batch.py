"""What goes into a policy's network and what it is taught, as tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True, eq=False)
class NetworkInputs:
    """Normalised observations.

    Attributes:
        images: one per camera in the policy's order, (B, 3, H, W) float32.
        state: proprioception, the policy's groups joined (B, S) float32.
        prompts: language instructions, one for each of the batch; empty for policies that take none.
    """

    images: tuple[Tensor, ...]
    state: Tensor
    prompts: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class NetworkTargets:
    """Normalised demonstrated actions.

    Attributes:
        actions: (B, K, A) float32.
        is_pad: (B, K) bool, True where the episode was already over.
    """

    actions: Tensor
    is_pad: Tensor


@dataclass(frozen=True)
class NetworkShape:
    """The sizes that a network needs to be built: cameras, state_dim S, action_dim A and action_horizon K."""

    cameras: int
    state_dim: int
    action_dim: int
    action_horizon: int


class PolicyNetwork(Protocol):
    """What a policy family provides, beside being a ``torch.nn.Module``."""

    def predict(self, inputs: NetworkInputs) -> Tensor:
        """The normalised action chunk (B, K, A) for observations, deterministic."""
        ...

    def losses(self, inputs: NetworkInputs, targets: NetworkTargets) -> Mapping[str, Tensor]:
        """Scalar losses by name. ``loss`` is the one to minimise; the others are its parts."""
        ...
