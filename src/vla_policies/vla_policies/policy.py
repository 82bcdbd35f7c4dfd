"""A policy that infers with a torch network (port :class:`vla_core.ports.Policy`)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vla_core.action_chunk import ActionChunk, validate_chunk
from vla_core.action_prefix import ActionPrefix
from vla_core.embodiment import Embodiment
from vla_core.errors import EmbodimentMismatch, StreamError, choice
from vla_core.observation import Observation
from vla_core.steps import blank_observation
from vla_policies.batch import ContinuingNetwork, NetworkInputs, PolicyNetwork, RealTimeChunking, RememberingNetwork
from vla_policies.continuing import previous_and_guidance, require_continuing
from vla_policies.pipeline import Pipeline, Proprioception
from vla_policies.transforms import resize_image

T = TypeVar("T")


class TorchPolicy:
    """Observation in, action chunk out: the chunk's first action is meant at the observation's stamp.

    From one observation to the next it keeps the count of its chunks, and what its network remembers, if that is one that does.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        network: nn.Module,
        policy_id: str,
        device: torch.device | str = "cpu",
        description: str = "",
        mixed: bool = False,
    ) -> None:
        """Takes over a network, which is moved to the device and set to inference.

        Args:
            pipeline: what surrounds it.
            network: a :class:`vla_policies.batch.PolicyNetwork`.
            policy_id: which policy and checkpoint.
            device: where to infer.
            description: says what was found.
            mixed: compute matrix products in 16 bits, see :func:`vla_policies.precision.set_precision`.
        """
        self.description = description
        self._pipeline = pipeline
        self._device = torch.device(device)
        self._mixed = mixed
        moved = network.to(device=self._device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        moved.requires_grad_(False)  # the gradients of real-time chunking are those of actions alone
        self._network = cast(PolicyNetwork, moved)
        self._policy_id = policy_id
        self._sequence = 0

    @property
    def policy_id(self) -> str:
        return self._policy_id

    @property
    def embodiment(self) -> Embodiment:
        """The robot that it was trained with."""
        return self._pipeline.embodiment

    @property
    def real_time_chunking(self) -> RealTimeChunking | None:
        """How a chunk goes on from a prefix; None: it cannot."""
        return self._network.real_time_chunking if isinstance(self._network, ContinuingNetwork) else None

    def warm_up(self) -> float:
        """Infers from made-up observations, so that the first real inference does not wait for memory and code that it needs.

        Returns:
            How long that took [s].
        """
        started_ns, count = time.perf_counter_ns(), self._sequence
        instructions = getattr(self._network, "known_instructions", ("",))
        observation = blank_observation(self.embodiment, instructions[0])
        chunk = self.infer(observation)
        if self.real_time_chunking is not None:
            delay = min(1, len(chunk.actions) - 1)
            self.infer(observation, ActionPrefix(chunk, delay, delay))
        self.reset()
        self._sequence = count
        return (time.perf_counter_ns() - started_ns) * 1e-9

    def infer(self, observation: Observation, prefix: ActionPrefix | None = None) -> ActionChunk:
        """Infers the actions from the observation's stamp on.

        Args:
            observation: what is seen.
            prefix: what is being executed meanwhile, if the chunk is to go on from it (real-time chunking).

        Raises:
            CannotContinue: there is a prefix, and the family's chunks cannot go on from one.
            ChunkError: the prefix is of other actions or does not reach far enough.
            EmbodimentMismatch: a camera or proprioception group is missing or has another shape.
            StreamError: a measured value is not finite.
            ChunkError: the network's output is not finite.
        """
        started_ns = time.perf_counter_ns()
        proprioception = self._proprioception(observation)
        images = {role: self._image(observation, role)[None] for role in self._pipeline.spec.cameras}
        with torch.inference_mode():
            inputs = self._pipeline.inputs(images, proprioception, self._device, (observation.prompt,))
            with torch.autocast(self._device.type, torch.bfloat16, enabled=self._mixed):
                predicted = self._predict(inputs, observation, proprioception, prefix)
        actions = self._pipeline.actions(predicted, proprioception)[0]
        chunk = ActionChunk(
            actions=actions,
            names=self.embodiment.action_names,
            start_ns=observation.stamp_ns,
            step_ns=self.embodiment.step_ns,
            observation_ns=observation.stamp_ns,
            policy_id=self._policy_id,
            sequence=self._sequence,
            inference_latency_ns=time.perf_counter_ns() - started_ns,
        )
        validate_chunk(chunk, self.embodiment.action_names)
        self._sequence += 1
        return chunk

    def _predict(
        self,
        inputs: NetworkInputs,
        observation: Observation,
        proprioception: Proprioception,
        prefix: ActionPrefix | None,
    ) -> Tensor:
        """The normalised chunk (1, K, A)."""
        if prefix is None:
            return self._network.predict(inputs)
        network = require_continuing(self._network, self._policy_id)
        horizon = self._pipeline.spec.action_horizon
        actions, guidance = previous_and_guidance(
            prefix, self.embodiment.action_names, observation.stamp_ns, self.embodiment.step_ns, horizon
        )
        nothing_padded = np.zeros((1, horizon), dtype=np.bool_)
        previous = self._pipeline.targets(actions[None], proprioception, nothing_padded, self._device).actions
        return network.predict_continuing(inputs, previous, guidance)

    def reset(self) -> None:
        """Forgets what was seen, in a network that remembers; in others an inference depends on one observation only."""
        if isinstance(self._network, RememberingNetwork):
            self._network.forget()

    def _image(self, observation: Observation, role: str) -> NDArray[np.uint8]:
        image = _find(observation.images, role, "camera", self._policy_id)
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
            raise EmbodimentMismatch(
                f"{self._policy_id}: camera '{role}': expected (height, width, 3) uint8, found {image.shape} {image.dtype}"
            )
        return np.ascontiguousarray(resize_image(image, self._pipeline.spec.cameras[role]))

    def _proprioception(self, observation: Observation) -> dict[str, NDArray[np.float64]]:
        """Batches of one. ``qpos`` is always among them: actions may refer to it."""
        batch: dict[str, NDArray[np.float64]] = {}
        for group in dict.fromkeys(("qpos", *self._pipeline.spec.proprioception)):
            vector = _find(observation.proprioception, group, "proprioception group", self._policy_id)
            names = self.embodiment.names_of(self.embodiment.proprioception[group])
            if vector.shape != (len(names),):
                raise EmbodimentMismatch(
                    f"{self._policy_id}: {group}: expected {len(names)} values {list(names)}, found shape {vector.shape}"
                )
            for name, value in zip(names, vector, strict=True):
                if not np.isfinite(value):
                    raise StreamError(
                        f"{self._policy_id}: {group}: expected a finite number for '{name}', found {value}"
                    )
            batch[group] = vector[None]
        return batch


def _find(values: Mapping[str, T], name: str, what: str, policy_id: str) -> T:
    if name not in values:
        raise EmbodimentMismatch(f"{policy_id}: expected the {what} '{name}', found {choice(values)}")
    return values[name]
