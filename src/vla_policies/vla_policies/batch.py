"""What goes into a policy's network and what it is taught, as tensors."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from torch import Tensor

from vla_policies.heads.real_time_chunking import Guidance

RealTimeChunking = Literal["guided", "prefix"]
"""How a chunk goes on from the one that is executed. ``guided``: led towards it. ``prefix``: behind its first actions, as the
network was trained to, as far as it was; led towards it beyond that."""


@dataclass(frozen=True, eq=False)
class NetworkInputs:
    """Normalised observations.

    Attributes:
        images: one per camera in the policy's order, (B, 3, H, W) float32.
        state: proprioception, the policy's groups joined (B, S) float32.
        prompts: language instructions, one for each of the batch; empty for policies that take none.
        state_on_host: the state on the processor, for networks that write it as text, so that no device need be waited for;
            None: ``state`` is all there is.
    """

    images: tuple[Tensor, ...]
    state: Tensor
    prompts: tuple[str, ...] = ()
    state_on_host: Tensor | None = None

    def differentiable(self) -> NetworkInputs:
        """Copies that gradients may be computed through; what was made in torch's inference mode may not be."""
        images = tuple(image.clone() for image in self.images)
        return dataclasses.replace(self, images=images, state=self.state.clone())


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


@runtime_checkable
class ContinuingNetwork(PolicyNetwork, Protocol):
    """A network whose chunks can go on from the one that is being executed."""

    @property
    def real_time_chunking(self) -> RealTimeChunking: ...

    def predict_continuing(self, inputs: NetworkInputs, previous: Tensor, guidance: Guidance) -> Tensor:
        """The normalised action chunk (B, K, A) that goes on from another one.

        Args:
            inputs: the observation.
            previous: the other one from the new one's first step on (B, K, A), normalised as this one will be; where it is not
                held to it may be anything.
            guidance: how strongly it is held to.
        """
        ...


@runtime_checkable
class RememberingNetwork(Protocol):
    """A network whose prediction also depends on the observations before, until it is to forget them."""

    def forget(self) -> None:
        """What is seen next is the first observation."""
        ...
