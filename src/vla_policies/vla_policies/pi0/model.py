"""The networks of pi0 and pi0.5 on tensors alone: images, prompts, states, noise and times are given.

::

    images ─ SigLIP ─ tokens ┐ prefix: one pass of Gemma for each chunk,
    prompt ────────── tokens ┘ of which only keys and values are kept
                                    │ layer by layer
    state ─ token (pi0 only)  ┐ suffix: one pass of the action expert for each step from noise to actions
    noisy actions ─ K tokens  ┘ ── velocities (K, A)
    time ─ mixed into the tokens (pi0), or adaptive norms (pi0.5)

Sources: arXiv 2410.24164 and 2504.16054; Physical-Intelligence/openpi, ``models_pytorch``, whose parameter names these are.
"""

# calling a torch module gives Any
# mypy: no-warn-return-any
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vla_policies.heads.flow_matching import FlowMatchingHead, SuffixTokens
from vla_policies.pi0.config import Pi0Config
from vla_policies.pi0.gemma import GemmaLayer, KeysValues, attention_bias, rotations
from vla_policies.pi0.masks import block_mask, positions, suffix_mask
from vla_policies.pi0.paligemma import PaliGemmaWithExpert


@dataclass(frozen=True, eq=False)
class Prefix:
    """What the action expert knows of an observation; computed once per chunk.

    Attributes:
        layers: keys and values of the prefix's tokens, for each layer.
        valid: (B, n) bool, False for tokens that stand for nothing.
    """

    layers: tuple[KeysValues, ...]
    valid: Tensor


class Pi0Model(FlowMatchingHead):
    """The whole network: the head, the two towers, and between them nothing but keys and values.

    B batch, K actions, A action_dim, S state_dim (A, or 0 where the state is no token), d the language model's width.
    """

    def __init__(self, config: Pi0Config) -> None:
        super().__init__(config.flow_shape)
        self.config = config
        self.paligemma_with_expert = PaliGemmaWithExpert(config)

    def embed_prefix(
        self, images: Sequence[Tensor], image_masks: Tensor, tokens: Tensor, token_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The prefix's tokens (B, n, d), and which of them stand for something (B, n) bool.

        Args:
            images: for each camera (B, 3, H, W), from -1 to 1; where there is none, anything.
            image_masks: (cameras, B) bool, False where there is no image.
            tokens: of the prompt (B, T).
            token_mask: (B, T) bool, False for padding.
        """
        embed = self.paligemma_with_expert.paligemma.embed_image
        return self.join_prefix([embed(image) for image in images], image_masks, tokens, token_mask)

    def join_prefix(
        self, images: Sequence[Tensor], image_masks: Tensor, tokens: Tensor, token_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """As :meth:`embed_prefix`, for images that are tokens (B, n, d) already."""
        words = self.paligemma_with_expert.paligemma.embed_words(tokens)
        valid = [mask[:, None].expand(image.shape[:2]) for image, mask in zip(images, image_masks, strict=True)]
        return torch.cat([*(image.to(words.dtype) for image in images), words], dim=1), torch.cat(
            [*valid, token_mask], dim=1
        )

    def read_prefix(self, embedded: Tensor, valid: Tensor) -> Prefix:
        """One pass of the language model over tokens (B, n, d) of which ``valid`` (B, n) stand for something."""
        language = self.paligemma_with_expert.paligemma.model.language_model
        rotation = rotations(positions(valid), self.config.vlm.head_dim)
        starts = torch.zeros(valid.shape[1], dtype=torch.bool, device=valid.device)
        bias = attention_bias(block_mask(starts, valid))
        x, layers = embedded, []
        *first, last = language.layers
        for layer in first:
            x, offered = layer(x, rotation, bias)
            layers.append(offered)
        assert isinstance(last, GemmaLayer)
        layers.append(last.keys_values(x, rotation))  # nobody uses its output
        return Prefix(tuple(layers), valid)

    def encode(self, images: Sequence[Tensor], image_masks: Tensor, tokens: Tensor, token_mask: Tensor) -> Prefix:
        """An observation to what the action expert knows of it. Arguments as of :meth:`embed_prefix`."""
        return self.read_prefix(*self.embed_prefix(images, image_masks, tokens, token_mask))

    def expert(self, suffix: SuffixTokens, features: Prefix) -> Tensor:
        """The action expert over the suffix (B, n, width), which sees the prefix."""
        expert = self.paligemma_with_expert.gemma_expert.model
        count = len(suffix.starts)
        known = features.valid.sum(dim=1, keepdim=True)
        rotation = rotations(known + torch.arange(count, device=known.device), self.config.expert.head_dim)
        bias = attention_bias(suffix_mask(suffix.starts, features.valid))
        x = suffix.tokens.to(features.layers[0].keys.dtype)
        for layer, offered in zip(expert.layers, features.layers, strict=True):
            x, _ = layer(x, rotation, bias, suffix.condition, offered)
        return expert.norm(x, suffix.condition)[0]
