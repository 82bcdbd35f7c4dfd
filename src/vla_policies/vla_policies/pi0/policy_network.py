"""pi0 and pi0.5 as policies: normalised observations in, a chunk of normalised actions out."""

# calling a torch module gives Any
# mypy: no-warn-return-any
from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vla_core.errors import CheckpointError
from vla_policies.act.image_tokens import KeyPointTokens
from vla_policies.backbones.small_cnn import SmallCnn
from vla_policies.batch import NetworkInputs, NetworkShape, NetworkTargets, RealTimeChunking
from vla_policies.formats.sentencepiece import read_sentencepiece
from vla_policies.heads.fixed_noise import FixedNoise
from vla_policies.heads.flow_matching import euler_times, integrate, sample_times
from vla_policies.heads.real_time_chunking import Guidance, guided_velocity, prefix_weights, reversed_time
from vla_policies.heads.tables import Tables
from vla_policies.pi0 import prompts
from vla_policies.pi0.config import Pi0Config
from vla_policies.pi0.images import resize_with_pad
from vla_policies.pi0.model import Pi0Model, Prefix
from vla_policies.pi0.paligemma import cast_towers


class Pi0PolicyNetwork(nn.Module):
    """pi0 or pi0.5 with its prompt, its images and its padding. B batch, A action_dim, K action_horizon of the robot.

    The names of its parameters are those of LeRobot's checkpoints: openpi's behind ``model.``. A camera that the robot lacks is
    left out, which gives the same actions as an image that is masked.
    """

    def __init__(self, config: Pi0Config, shape: NetworkShape) -> None:
        """Raises CheckpointError if the robot has more dimensions than the network."""
        super().__init__()
        for what, found in (("state", shape.state_dim), ("action", shape.action_dim)):
            if found > config.action_dim and not (what == "state" and config.state_input != "token"):
                raise CheckpointError(f"pi0: expected at most {config.action_dim} {what} dimensions, found {found}")
        self.config = config
        self.shape = shape
        self.model = Pi0Model(config)
        self.constants = FixedNoise(shape.action_horizon, config.action_dim, config.noise_seed, config.noise_scale)
        self.times = Tables(
            euler=euler_times(config.sampling_steps, device="cpu", accumulated=config.accumulated_times)
        )
        if config.image_encoder == "key_points":
            cameras = range(shape.cameras)
            self.backbones = nn.ModuleList(SmallCnn() for _ in cameras)
            tokens = [KeyPointTokens(SmallCnn.channels, config.vlm.width, config.key_points) for _ in cameras]
            self.image_tokens = nn.ModuleList(tokens)
        if config.precision != "float32":
            towers = self.model.paligemma_with_expert
            cast_towers(towers, torch.bfloat16, vision=config.precision == "bfloat16")

    def predict(self, inputs: NetworkInputs) -> Tensor:
        """The action chunk (B, K, A), always made of the same noise."""
        prefix, state, noise = self.encode(inputs), self._state(inputs), self._noise(inputs)
        return self.model.sample(noise, self._times, state, prefix)[..., : self.shape.action_dim]

    @property
    def real_time_chunking(self) -> RealTimeChunking:
        return "prefix" if self.config.trained_prefix else "guided"

    def predict_continuing(self, inputs: NetworkInputs, previous: Tensor, guidance: Guidance) -> Tensor:
        """A chunk (B, K, A) that goes on from the one that is being executed, see ``ContinuingNetwork``."""
        if 0 < guidance.delay <= self.config.trained_prefix:
            return self.predict_after(inputs, previous[:, : guidance.delay])
        return self.predict_guided(inputs, previous, guidance)

    def predict_guided(self, inputs: NetworkInputs, previous: Tensor, guidance: Guidance) -> Tensor:
        """A chunk (B, K, A) that goes on from the one that is being executed; for any weights, see ``real_time_chunking``.

        Args:
            inputs: the observation.
            previous: the old chunk from the new one's first step on (B, K, A), normalised as this one will be; what it lacks
                at its end is of no effect and may be 0.
            guidance: how strongly it is held to.
        """
        with torch.inference_mode(False), torch.no_grad():
            inputs = inputs.differentiable()
            prefix, state, noise = self.encode(inputs), self._state(inputs), self._noise(inputs)
            weights = prefix_weights(guidance, self.shape.action_horizon).to(noise)
            real = torch.arange(self.config.action_dim, device=noise.device) < self.shape.action_dim
            guided = guided_velocity(
                reversed_time(lambda x, time: self.model.velocity(x, time, state, prefix)),
                _padded(previous.clone(), self.config.action_dim),
                weights[:, None] * real,
                guidance.max_weight,
            )
            return integrate(reversed_time(guided), noise, self._times)[-1][..., : self.shape.action_dim]

    def predict_after(self, inputs: NetworkInputs, known: Tensor) -> Tensor:
        """A chunk (B, K, A) whose first actions are known (B, P, A); for weights that were trained with ``trained_prefix``.

        Source: Black et al., "Training-Time Action Conditioning for Efficient Real-Time Chunking" (arXiv 2512.05964): known
        actions stand among the noisy ones, and their time is that of actions.
        """
        count, prefix, state, noise = known.shape[1], self.encode(inputs), self._state(inputs), self._noise(inputs)
        if count > self.config.trained_prefix:
            raise ValueError(f"expected at most trained_prefix ({self.config.trained_prefix}) actions, found {count}")
        first = _padded(known, self.config.action_dim)

        def velocity(x: Tensor, time: Tensor) -> Tensor:
            with_known = torch.cat([first, x[:, count:]], dim=1)
            times = time[:, None].expand(x.shape[:2]).clone()
            times[:, :count] = 0.0
            return self.model.velocity(with_known, times, state, prefix)

        sampled = integrate(velocity, noise, self._times)[-1]
        return torch.cat([known, sampled[:, count:, : self.shape.action_dim]], dim=1)

    def losses(
        self,
        inputs: NetworkInputs,
        targets: NetworkTargets,
        noise: Tensor | None = None,
        time: Tensor | None = None,
    ) -> Mapping[str, Tensor]:
        """``loss``, the squared error of the velocities.

        Args:
            inputs: observations.
            targets: demonstrated actions.
            noise: (B, K, config.action_dim); by default drawn.
            time: (B,) from 0, actions, to 1, noise; by default drawn.
        """
        actions = _padded(targets.actions, self.config.action_dim)
        noise = torch.randn_like(actions) if noise is None else noise
        time = sample_times(len(actions), actions.device) if time is None else time
        is_pad = targets.is_pad
        if self.config.trained_prefix:
            index = torch.arange(actions.shape[1], device=actions.device)
            known = index < torch.randint(self.config.trained_prefix + 1, (len(actions), 1), device=actions.device)
            time, is_pad = time[:, None].masked_fill(known, 0.0), is_pad | known
        errors = self.model.errors(actions, noise, time, self._state(inputs), self.encode(inputs))
        counted = errors if self.config.loss_dims == "all" else errors[..., : self.shape.action_dim]
        return {"loss": self.model.loss(counted, is_pad)}

    def encode(self, inputs: NetworkInputs) -> Prefix:
        """What the action expert knows of the observations."""
        device = inputs.state.device
        tokens, token_mask = (part.to(device) for part in self.prompt_tokens(inputs))
        there = torch.ones((len(inputs.images), len(inputs.state)), dtype=torch.bool, device=device)
        if self.config.image_encoder == "siglip":
            size = self.config.vision.image
            images = [resize_with_pad(image, size, self.config.antialias) for image in inputs.images]
            return self.model.encode(images, there, tokens, token_mask)
        encoded = []
        for backbone, key_points, image in zip(self.backbones, self.image_tokens, inputs.images, strict=True):
            token, position = key_points(backbone(image))
            encoded.append(token + position)
        return self.model.read_prefix(*self.model.join_prefix(encoded, there, tokens, token_mask))

    def prompt_tokens(self, inputs: NetworkInputs) -> tuple[Tensor, Tensor]:
        """Token numbers of the prompts, and of the state where it is text, (B, T), and which are no padding (B, T)."""
        tasks = inputs.prompts or (self.config.default_prompt,) * len(inputs.state)
        if self.config.state_input == "text":
            state = inputs.state if inputs.state_on_host is None else inputs.state_on_host
            steps = prompts.state_steps(state).tolist()
            rows = [
                prompts.instruction_and_state_tokens(task, state, self._encode_text)
                for task, state in zip(tasks, steps, strict=True)
            ]
        else:
            rows = [prompts.instruction_tokens(task, self._encode_text) for task in tasks]
        tokens, there = prompts.padded(rows, self.config.prompt_length)
        longest = tokens.shape[1] if self.config.pad_prompts else max(len(row) for row in rows)
        return tokens[:, :longest], there[:, :longest]

    @cached_property
    def _encode_text(self) -> prompts.Encode:
        if self.config.tokenizer:
            tokenizer = read_sentencepiece(Path(self.config.tokenizer))
            if tokenizer.size > self.config.vocabulary:
                raise CheckpointError(
                    f"{self.config.tokenizer}: expected at most {self.config.vocabulary} pieces, found {tokenizer.size}"
                )
            return tokenizer.encode
        if self.config.vocabulary < prompts.BYTE_VOCABULARY:
            raise CheckpointError(
                f"vocabulary: expected at least {prompts.BYTE_VOCABULARY} tokens without a tokenizer, "
                f"found {self.config.vocabulary}"
            )
        return prompts.encode_bytes

    def _state(self, inputs: NetworkInputs) -> Tensor | None:
        return _padded(inputs.state, self.config.action_dim) if self.config.state_input == "token" else None

    @property
    def _times(self) -> Tensor:
        return cast(Tensor, self.times.euler)

    def _noise(self, inputs: NetworkInputs) -> Tensor:
        return self.constants.noise.to(inputs.state.dtype).expand(len(inputs.state), -1, -1)


def _padded(x: Tensor, dims: int) -> Tensor:
    return F.pad(x, (0, dims - x.shape[-1]))
