"""GR00T N1.5 as a policy: normalised observations in, a chunk of normalised actions out."""

# calling a torch module gives Any
# mypy: no-warn-return-any
from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vla_core.errors import CheckpointError
from vla_policies.batch import NetworkInputs, NetworkShape, NetworkTargets, RealTimeChunking
from vla_policies.groot.config import GrootConfig
from vla_policies.groot.eagle import EagleBackbone, centre_crop
from vla_policies.groot.prompts import conversation, padded
from vla_policies.groot.qwen_tokenizer import read_tokenizer
from vla_policies.groot.small_backbone import SmallBackbone
from vla_policies.heads.fixed_noise import FixedNoise
from vla_policies.heads.flow_matching_dit import FlowMatchingDitHead, sample_times
from vla_policies.heads.real_time_chunking import Guidance, guided_velocity, prefix_weights


class GrootNetwork(nn.Module):
    """GR00T with its prompt, its images and its padding. B batch, A action_dim and K action_horizon of the robot.

    The names of its parameters are those of nvidia/GR00T-N1.5-3B. States and actions are padded with zeros behind the robot's
    own dimensions; a loss counts those alone.
    """

    def __init__(self, config: GrootConfig, shape: NetworkShape) -> None:
        """Raises CheckpointError if the robot has more dimensions than the network, or a chunk is not of its length."""
        super().__init__()
        head = config.head
        for what, limit, found in (
            ("state dimensions", head.state_dim, shape.state_dim),
            ("action dimensions", head.decoded_dim, shape.action_dim),
            ("actions in a chunk", head.horizon, shape.action_horizon),
        ):
            if found > limit:
                raise CheckpointError(f"groot: expected at most {limit} {what}, found {found}")
        self.config = config
        self.shape = shape
        self.backbone = (
            EagleBackbone(config.eagle)
            if config.backbone == "eagle"
            else SmallBackbone(config.small, shape.cameras, head.backbone_dim)
        )
        self.action_head = FlowMatchingDitHead(head)
        self.constants = FixedNoise(head.horizon, head.action_dim, config.noise_seed, config.noise_scale)

    def predict(self, inputs: NetworkInputs) -> Tensor:
        """The action chunk (B, K, A), always made of the same noise."""
        velocity = self.action_head.velocity_field(self.features(inputs), *self._state(inputs))
        return self._chunk(self.action_head.sample(velocity, self._noise(inputs)))

    @property
    def real_time_chunking(self) -> RealTimeChunking:
        return "guided"

    def predict_continuing(self, inputs: NetworkInputs, previous: Tensor, guidance: Guidance) -> Tensor:
        """A chunk (B, K, A) that goes on from the one that is being executed, see ``ContinuingNetwork``."""
        return self.predict_guided(inputs, previous, guidance)

    def predict_guided(self, inputs: NetworkInputs, previous: Tensor, guidance: Guidance) -> Tensor:
        """A chunk (B, K, A) that goes on from the one that is being executed; for any weights, see ``real_time_chunking``.

        Args:
            inputs: the observation.
            previous: the old chunk from the new one's first step on (B, K, A), normalised as this one will be; what it lacks
                at its end is of no effect and may be 0.
            guidance: how strongly it is held to.
        """
        head = self.config.head
        with torch.inference_mode(False), torch.no_grad():
            inputs = inputs.differentiable()
            field = self.action_head.velocity_field(self.features(inputs), *self._state(inputs))
            rest = head.action_dim - head.decoded_dim
            weights = F.pad(prefix_weights(guidance, self.shape.action_horizon), (0, head.horizon - previous.shape[1]))
            real = torch.arange(head.action_dim, device=previous.device) < self.shape.action_dim
            guided = guided_velocity(
                lambda x, progress: F.pad(field(x, progress), (0, rest)),
                self._padded_actions(previous.clone()),
                weights.to(previous)[:, None] * real,
                guidance.max_weight,
            )
            noise = self._noise(inputs)
            return self._chunk(
                self.action_head.sample(lambda x, time: guided(x, time.to(x))[..., : head.decoded_dim], noise)
            )

    def losses(
        self,
        inputs: NetworkInputs,
        targets: NetworkTargets,
        noise: Tensor | None = None,
        time: Tensor | None = None,
    ) -> Mapping[str, Tensor]:
        """``loss``, the squared error of the velocities; with two decoders ``arm`` and ``claw`` too.

        Args:
            inputs: observations.
            targets: demonstrated actions.
            noise: (B, horizon, action_dim) of the head; by default drawn.
            time: (B,) from 0, noise, to 1, actions; by default drawn.
        """
        actions = self._padded_actions(targets.actions)
        mask = self._padded_actions((~targets.is_pad[..., None]).expand_as(targets.actions))
        noise = torch.randn_like(actions) if noise is None else noise
        if time is None:
            time = sample_times(self.config.head, torch.rand(len(actions), device=actions.device))
        velocity = self.action_head.velocity_field(self.features(inputs), *self._state(inputs))
        return self.action_head.losses(velocity, actions, mask, noise, time)

    def features(self, inputs: NetworkInputs) -> Tensor:
        """What the backbone makes of images and instructions (B, m, backbone_dim)."""
        prompts = inputs.prompts or (self.config.default_prompt,) * len(inputs.state)
        if isinstance(self.backbone, SmallBackbone):
            return self.backbone(inputs.images, prompts)
        eagle = self.backbone.eagle_model
        if not self.config.tokenizer:
            raise CheckpointError("groot: tokenizer: expected the path of Eagle's tokenizer.json, found none")
        encode = read_tokenizer(self.config.tokenizer)
        count, as_list = len(inputs.images), self.config.prompt_as_list
        tokens, mask = padded([encode(conversation(prompt, count, eagle.image_tokens, as_list)) for prompt in prompts])
        crop, size, mode = self.config.image_crop, self.config.eagle.vision.image, self.config.image_resize
        images = torch.stack([centre_crop(image, crop, size, mode) for image in inputs.images], dim=1)
        return self.backbone(images, tokens, mask)

    def _state(self, inputs: NetworkInputs) -> tuple[Tensor, Tensor]:
        """The padded state, and of whose robot it is."""
        state = F.pad(inputs.state, (0, self.config.head.state_dim - inputs.state.shape[-1]))
        return state, torch.full((len(state),), self.config.embodiment, device=state.device)

    def _padded_actions(self, values: Tensor) -> Tensor:
        """Values (B, K, A) of actions as (B, horizon, action_dim) of the head, with zeros."""
        head = self.config.head
        return F.pad(values, (0, head.action_dim - values.shape[-1], 0, head.horizon - values.shape[-2]))

    def _noise(self, inputs: NetworkInputs) -> Tensor:
        return self.constants.noise.to(inputs.state.dtype).expand(len(inputs.state), -1, -1)

    def _chunk(self, sampled: Tensor) -> Tensor:
        return sampled[:, : self.shape.action_horizon, : self.shape.action_dim]
