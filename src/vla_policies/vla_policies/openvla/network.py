"""OpenVLA and OpenVLA-OFT: images, an instruction and proprioception to a chunk of actions, by way of a language model.

Sources: Kim et al., "OpenVLA: An Open-Source Vision-Language-Action Model" (arXiv 2406.09246); Kim et al., "Fine-Tuning
Vision-Language-Action Models: Optimizing Speed and Success" (arXiv 2502.19645), with moojink/openvla-oft. The parameter names
are those of its files, each under the name of the file: ``action_head``, ``proprio_projector``, ``noisy_action_projector``; those
of the model itself are as they are.
"""

# calling a torch module gives Any
# mypy: no-warn-return-any
from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vla_policies.batch import NetworkShape
from vla_policies.heads.diffusion import DiffusionHead, time_embedding
from vla_policies.heads.discrete_bins import DiscreteBins
from vla_policies.heads.l1_mlp_resnet import L1MlpResNetHead
from vla_policies.openvla.config import OpenVlaConfig
from vla_policies.openvla.llama import Cache, LanguageModel
from vla_policies.openvla.projectors import PatchProjector, TokenProjector
from vla_policies.openvla.sequence import Prompt, decode_slots, mean_language, sequence
from vla_policies.openvla.tokens import STOP
from vla_policies.openvla.vision import DinoSiglip, SmallVision, patch_tokens

_EMBEDDING_STD = 0.02


class OpenVla(nn.Module):
    """The network on tensors. B batch, K action_horizon, A action_dim, P prompt length, d hidden_dim."""

    def __init__(self, config: OpenVlaConfig, shape: NetworkShape) -> None:
        super().__init__()
        self.config = config
        self.shape = shape
        dim = config.language.hidden_dim
        if config.vision == "dinosiglip":
            self.vision_backbone: nn.Module = DinoSiglip(config)
            self.projector = PatchProjector(config.dino.width + config.siglip.width, dim)
        else:
            self.vision_backbone = SmallVision(config, shape.cameras)
        self.language_model = LanguageModel(config.language)
        self.bins = DiscreteBins(config.language.vocabulary, config.bins)
        if config.use_proprio:
            self.proprio_projector = TokenProjector(shape.state_dim, dim)
        if config.head == "l1":
            self.action_head: L1MlpResNetHead | DiffusionHead = L1MlpResNetHead(dim, shape.action_dim)
        elif config.head == "diffusion":
            self.action_head = DiffusionHead(dim, shape.action_dim, config.diffusion_train_steps)
            self.noisy_action_projector = TokenProjector(1, dim)
        nn.init.normal_(self.language_model.model.embed_tokens.weight, std=_EMBEDDING_STD)

    def prompt(self, ids: Tensor, is_there: Tensor | None = None) -> Prompt:
        """The prompts of token ids (B, P), BOS first, of which ``is_there`` (B, P) are no padding."""
        return Prompt(self.language_model.model.embed_tokens(ids), is_there)

    def context(self, images: Sequence[Tensor], state: Tensor, prompt: Prompt) -> Tensor:
        """What stands between BOS and the prompt (B, n, d): image patches, and proprioception if it is used.

        Args:
            images: one per camera, (B, 6, size, size) for the towers, or (B, 3, H, W) for the small backbone.
            state: normalised (B, S).
            prompt: for FiLM.
        """
        if isinstance(self.vision_backbone, DinoSiglip):
            language = mean_language(prompt, self.stop) if self.config.film else None
            tokens = patch_tokens(self.vision_backbone, self.projector, images, language)
        else:
            tokens = self.vision_backbone(images)
        if not self.config.use_proprio:
            return tokens
        return torch.cat([tokens, self.proprio_projector(state)[:, None]], dim=1)

    @property
    def stop(self) -> Tensor:
        """Embedding of the stop token (d,)."""
        return self.language_model.model.embed_tokens.weight[STOP]

    def hidden_of_empty_slots(self, prompt: Prompt, context: Tensor) -> Tensor:
        """Hidden states (B, K * A, d) that say what belongs into slots that hold nothing."""
        slots = context.new_zeros(len(context), self._slots, context.shape[-1])
        return decode_slots(self._both_ways, prompt, context, slots, self.stop)

    def predicted_noise(self, prompt: Prompt, context: Tensor, noisy: Tensor, times: Tensor) -> Tensor:
        """The noise (B, K, A) in a noisy chunk (B, K, A) at diffusion times (B,)."""
        time = time_embedding(times, context.shape[-1]).to(context)[:, None]
        slots = self.noisy_action_projector(noisy.to(context).flatten(1)[..., None])
        hidden = decode_slots(self._both_ways, prompt, torch.cat([context, time], dim=1), slots, self.stop)
        return self.action_head(hidden)

    def slot_logits(self, prompt: Prompt, context: Tensor) -> Tensor:
        """Scores over the vocabulary (B, K * A, V) of what belongs into empty slots."""
        return self.language_model.lm_head(self.hidden_of_empty_slots(prompt, context))

    def next_token_logits(self, prompt: Prompt, context: Tensor, ids: Tensor) -> Tensor:
        """Scores (B, K * A, V) of the token at every place of a sequence of action tokens (B, K * A), from those before it."""
        earlier = self.language_model.model.embed_tokens(ids[:, :-1])
        joined, is_there = sequence(prompt, context, earlier)
        hidden = self.language_model.model(joined, is_there, causal=True)[0]
        return self.language_model.lm_head(hidden[:, -ids.shape[1] :])

    def generate(self, prompt: Prompt, context: Tensor) -> Tensor:
        """Action tokens (B, K * A), each the most probable one after those before it."""
        step, is_there = sequence(prompt, context)
        cache: Cache | None = None
        ids: list[Tensor] = []
        for _ in range(self._slots):
            hidden, cache = self.language_model.model(step, is_there, causal=True, cache=cache)
            ids.append(self.language_model.lm_head(hidden[:, -1]).argmax(dim=-1))
            step = self.language_model.model.embed_tokens(ids[-1])[:, None]
            if is_there is not None:
                is_there = torch.cat([is_there, is_there.new_ones(len(step), 1)], dim=1)
        return torch.stack(ids, dim=1)

    @property
    def _slots(self) -> int:
        return self.shape.action_horizon * self.shape.action_dim

    def _both_ways(self, embeddings: Tensor, is_there: Tensor | None) -> Tensor:
        return self.language_model.model(embeddings, is_there)[0]
