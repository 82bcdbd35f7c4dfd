"""From observations to a network's inputs and from its outputs to actions: the same code in training and on the robot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vla_core.embodiment import Embodiment
from vla_core.errors import CheckpointError
from vla_policies.batch import NetworkInputs, NetworkShape, NetworkTargets
from vla_policies.normalisation import Normalisation
from vla_policies.spec import PolicySpec
from vla_policies.transforms import ActionReference, images_to_tensor

Images = Mapping[str, NDArray[np.uint8]]
Proprioception = Mapping[str, NDArray[np.float64]]

ACTION = "action"


class Pipeline:
    """Normalises observations and actions for a network, and restores the actions that it outputs.

    Normalisation goes by key: camera roles, proprioception groups and ``action``.
    """

    def __init__(
        self, spec: PolicySpec, embodiment: Embodiment, normalisation: Mapping[str, Normalisation], what: str
    ) -> None:
        """``what`` names the policy in errors.

        Raises:
            EmbodimentMismatch: the embodiment lacks a camera or group of the policy.
            CheckpointError: the normalisation of a key is missing or has another size.
        """
        spec.require_fits(embodiment, what)
        self.spec = spec
        self.embodiment = embodiment
        self._reference = ActionReference.of(spec, embodiment)
        self._normalisation = normalisation
        _require_sizes(normalisation, _sizes(spec, embodiment), what)

    @property
    def shape(self) -> NetworkShape:
        """The sizes of the network that belongs between the two ends of the pipeline."""
        return NetworkShape(
            cameras=len(self.spec.cameras),
            state_dim=len(self.spec.state_names(self.embodiment)),
            action_dim=len(self.embodiment.action_names),
            action_horizon=self.spec.action_horizon,
        )

    def inputs(
        self, images: Images, proprioception: Proprioception, device: torch.device, prompts: Sequence[str] = ()
    ) -> NetworkInputs:
        """Network inputs for a batch.

        Args:
            images: role to (B, H, W, 3) uint8 RGB, already of the network's size.
            proprioception: group to (B, n) in its units.
            device: where the tensors go.
            prompts: language instructions, one for each of the batch.
        """
        state = np.concatenate(
            [self._normalisation[group].forward(proprioception[group]) for group in self.spec.proprioception], axis=-1
        )
        return NetworkInputs(
            images=tuple(
                images_to_tensor(images[role], self._normalisation[role], device) for role in self.spec.cameras
            ),
            state=torch.from_numpy(state.astype(np.float32)).to(device),
            prompts=tuple(prompts),
        )

    def targets(
        self,
        actions: NDArray[np.float64],
        proprioception: Proprioception,
        is_pad: NDArray[np.bool_],
        device: torch.device,
    ) -> NetworkTargets:
        """Network targets for demonstrated actions (B, K, A) in their units, of which ``is_pad`` (B, K) are past the end."""
        offsets = self._reference.to_offsets(actions, proprioception["qpos"])
        normalised = self._normalisation[ACTION].forward(offsets).astype(np.float32)
        return NetworkTargets(torch.from_numpy(normalised).to(device), torch.from_numpy(is_pad).to(device))

    def actions(self, predicted: Tensor, proprioception: Proprioception) -> NDArray[np.float64]:
        """The actions (B, K, A) in their units that a network's output (B, K, A) means."""
        offsets = self._normalisation[ACTION].inverse(predicted.double().cpu().numpy())
        return self._reference.to_actions(offsets, proprioception["qpos"])


def _sizes(spec: PolicySpec, embodiment: Embodiment) -> dict[str, int]:
    groups: dict[str, int] = {
        group: len(embodiment.names_of(embodiment.proprioception[group])) for group in spec.proprioception
    }
    return {**dict.fromkeys(spec.cameras, 3), **groups, ACTION: len(embodiment.action_names)}


def _require_sizes(normalisation: Mapping[str, Normalisation], sizes: Mapping[str, int], what: str) -> None:
    for key, size in sizes.items():
        if key not in normalisation:
            raise CheckpointError(f"{what}: normalisation.{key}: missing; there are {sorted(normalisation)}")
        found = normalisation[key].size
        if found is not None and found != size:
            raise CheckpointError(f"{what}: normalisation.{key}: expected {size} values, found {found}")
