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
from vla_policies.transforms import ActionReference, Chain, images_to_tensor

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
        self._chain = Chain(spec.transforms)
        self._normalisation = normalisation
        self._sizes = _sizes(spec, embodiment, self._chain, what)
        _require_sizes(normalisation, {**dict.fromkeys(spec.cameras, 3), **self._sizes}, what)

    @property
    def shape(self) -> NetworkShape:
        """The sizes of the network that belongs between the two ends of the pipeline."""
        return NetworkShape(
            cameras=len(self.spec.cameras),
            state_dim=sum(self._sizes[group] for group in self.spec.proprioception),
            action_dim=self._sizes[ACTION],
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
            [
                self._normalisation[group].forward(self._chain.state(group, proprioception[group]))
                for group in self.spec.proprioception
            ],
            axis=-1,
        )
        on_host = torch.from_numpy(state.astype(np.float32))
        return NetworkInputs(
            images=tuple(
                images_to_tensor(images[role], self._normalisation[role], device) for role in self.spec.cameras
            ),
            state=on_host.to(device),
            prompts=tuple(prompts),
            state_on_host=on_host,
        )

    def targets(
        self,
        actions: NDArray[np.float64],
        proprioception: Proprioception,
        is_pad: NDArray[np.bool_],
        device: torch.device,
    ) -> NetworkTargets:
        """Network targets for demonstrated actions (B, K, A) in their units, of which ``is_pad`` (B, K) are past the end."""
        qpos = proprioception["qpos"]
        transformed = self._chain.actions(actions, qpos)
        offsets = self._reference.to_offsets(transformed, self._chain.state("qpos", qpos))
        normalised = self._normalisation[ACTION].forward(offsets).astype(np.float32)
        return NetworkTargets(torch.from_numpy(normalised).to(device), torch.from_numpy(is_pad).to(device))

    def actions(self, predicted: Tensor, proprioception: Proprioception) -> NDArray[np.float64]:
        """The actions (B, K, A) in their units that a network's output (B, K, A) means."""
        offsets = self._normalisation[ACTION].inverse(predicted.double().cpu().numpy())
        qpos = proprioception["qpos"]
        return self._chain.restored(self._reference.to_actions(offsets, self._chain.state("qpos", qpos)), qpos)


def _sizes(spec: PolicySpec, embodiment: Embodiment, chain: Chain, what: str) -> dict[str, int]:
    """Dimensions that the network has of each vector."""
    vectors: dict[str, int] = {
        group: len(embodiment.names_of(embodiment.proprioception[group])) for group in spec.proprioception
    }
    vectors[ACTION] = len(embodiment.action_names)
    try:
        return {vector: chain.size(vector, dims) for vector, dims in vectors.items()}
    except ValueError as error:
        raise CheckpointError(f"{what}: spec.transforms: {error}") from error


def _require_sizes(normalisation: Mapping[str, Normalisation], sizes: Mapping[str, int], what: str) -> None:
    for key, size in sizes.items():
        if key not in normalisation:
            raise CheckpointError(f"{what}: normalisation.{key}: missing; there are {sorted(normalisation)}")
        found = normalisation[key].size
        if found is not None and found != size:
            raise CheckpointError(f"{what}: normalisation.{key}: expected {size} values, found {found}")
