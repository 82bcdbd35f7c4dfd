"""OpenVLA and OpenVLA-OFT as a policy's network, in training and on the robot."""

# calling a torch module gives Any
# mypy: no-warn-return-any
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from vla_policies.batch import NetworkInputs, NetworkShape, NetworkTargets
from vla_policies.heads.diffusion import DdimSchedule, DiffusionHead
from vla_policies.heads.fixed_noise import FixedNoise
from vla_policies.openvla.config import OpenVlaConfig
from vla_policies.openvla.llama_tokenizer import read_tokenizer
from vla_policies.openvla.network import OpenVla
from vla_policies.openvla.sequence import Prompt
from vla_policies.openvla.tokens import byte_tokens, prompt_tokens
from vla_policies.openvla.vision import for_both_towers

_NOISE_SEED = 0


class OpenVlaNetwork(OpenVla):
    """The family on normalised inputs and outputs; actions must be normalised to -1 to 1."""

    def __init__(self, config: OpenVlaConfig, shape: NetworkShape) -> None:
        super().__init__(config, shape)
        self.constants = FixedNoise(shape.action_horizon, shape.action_dim, _NOISE_SEED, config.noise_scale)
        if config.precision == "bfloat16":
            self.to(torch.bfloat16)
        self._tokenizer = read_tokenizer(Path(config.tokenizer_file)) if config.tokenizer_file else byte_tokens

    def predict(self, inputs: NetworkInputs) -> Tensor:
        """The action chunk (B, K, A). The noise that a diffusion begins with is always the same."""
        prompt, context = self._prompt_and_context(inputs)
        if self.config.head == "l1":
            return self.action_head(self.hidden_of_empty_slots(prompt, context))
        if self.config.head == "diffusion":
            return self.denoise(prompt, context, self.constants.noise.to(context.dtype).expand(len(context), -1, -1))
        if self.config.head == "discrete":
            ids = self.slot_logits(prompt, context).argmax(dim=-1)
        else:
            ids = self.generate(prompt, context)
        return self.bins.decode(ids).to(context).reshape(len(context), -1, self.shape.action_dim)

    def denoise(self, prompt: Prompt, context: Tensor, noise: Tensor) -> Tensor:
        """The action chunk (B, K, A) that noise (B, K, A) becomes: the images are seen once, all else at every step."""
        steps = self._schedule.denoise(
            lambda x, times: self.predicted_noise(prompt, context, x, times), noise, self.config.diffusion_steps
        )
        return list(steps)[-1]

    @property
    def _schedule(self) -> DdimSchedule:
        assert isinstance(self.action_head, DiffusionHead)
        return self.action_head.schedule

    def losses(
        self,
        inputs: NetworkInputs,
        targets: NetworkTargets,
        noise: Tensor | None = None,
        times: Tensor | None = None,
    ) -> Mapping[str, Tensor]:
        """The head's own loss: ``l1``, ``cross_entropy`` of the action tokens, or ``mse`` of the noise; ``loss`` is the same.

        Args:
            inputs: observations.
            targets: demonstrated actions.
            noise: of a diffusion (B, K, A); by default drawn.
            times: of a diffusion, integers (B,); by default drawn.
        """
        prompt, context = self._prompt_and_context(inputs)
        if self.config.head == "l1":
            predicted = self.action_head(self.hidden_of_empty_slots(prompt, context))
            return _named("l1", self.action_head.loss(predicted, targets.actions, targets.is_pad))
        if self.config.head == "diffusion":
            return _named("mse", self._diffusion_loss(prompt, context, targets, noise, times))
        if self.config.head == "discrete":
            logits = self.slot_logits(prompt, context)
        else:
            logits = self.next_token_logits(prompt, context, self.bins.encode(targets.actions).flatten(1))
        return _named("cross_entropy", self.bins.loss(logits, targets.actions, targets.is_pad))

    def _diffusion_loss(
        self, prompt: Prompt, context: Tensor, targets: NetworkTargets, noise: Tensor | None, times: Tensor | None
    ) -> Tensor:
        if noise is None:
            noise = torch.randn_like(targets.actions)
        if times is None:
            times = torch.randint(self._schedule.train_steps, (len(noise),), device=noise.device)
        noisy = self._schedule.add_noise(targets.actions, noise, times)
        weights = self._schedule.chunk_weights(times) if self.config.diffusion_loss == "chunk" else None
        assert isinstance(self.action_head, DiffusionHead)
        return self.action_head.loss(
            self.predicted_noise(prompt, context, noisy, times), noise, targets.is_pad, weights
        )

    def _prompt_and_context(self, inputs: NetworkInputs) -> tuple[Prompt, Tensor]:
        config = self.config
        tasks = inputs.prompts or ("",) * len(inputs.state)
        ids, is_there = prompt_tokens(tasks, config.prompt, config.end_of_prompt, self._tokenizer)
        device = inputs.state.device
        prompt = self.prompt(ids.to(device), None if is_there is None else is_there.to(device))
        images = inputs.images
        if config.vision == "dinosiglip":
            images = tuple(for_both_towers(image, config) for image in images)
        dtype = self.language_model.lm_head.weight.dtype
        return prompt, self.context([image.to(dtype) for image in images], inputs.state.to(dtype), prompt)


def _named(name: str, loss: Tensor) -> dict[str, Tensor]:
    return {"loss": loss, name: loss}
