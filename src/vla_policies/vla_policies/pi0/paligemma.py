"""PaliGemma beside the action expert, as a tree of modules with the names of openpi's checkpoints."""

# calling a torch module gives Any
# mypy: no-warn-return-any
from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from vla_policies.pi0.config import GemmaShape, Pi0Config
from vla_policies.pi0.gemma import GemmaStack
from vla_policies.pi0.siglip import Projector, SiglipTower


class _PaliGemmaModel(nn.Module):
    def __init__(self, config: Pi0Config) -> None:
        super().__init__()
        if config.image_encoder == "siglip":
            self.vision_tower = SiglipTower(config.vision)
            self.multi_modal_projector = Projector(config.vision.width, config.vlm.width)
        self.language_model = GemmaStack(config.vlm, config.vocabulary, adaptive=False)


class PaliGemma(nn.Module):
    """The vision-language model. Its ``lm_head`` is the table of its tokens once more, and nothing here uses it."""

    def __init__(self, config: Pi0Config) -> None:
        super().__init__()
        self.model = _PaliGemmaModel(config)
        self.lm_head = nn.Linear(config.vlm.width, config.vocabulary, bias=False)
        self.lm_head.weight = self.model.language_model.embed_tokens.weight

    def embed_image(self, image: Tensor) -> Tensor:
        """Image (B, 3, H, W) from -1 to 1 to tokens (B, n, d), not scaled as those of words are."""
        return self.model.multi_modal_projector(self.model.vision_tower(image))

    def embed_words(self, tokens: Tensor) -> Tensor:
        """Token numbers (B, n) to tokens (B, n, d)."""
        table = self.model.language_model.embed_tokens
        return table(tokens) * math.sqrt(table.embedding_dim)


class _Expert(nn.Module):
    """The action expert: a Gemma without a table of tokens, whose ``lm_head`` is in the checkpoints and never used."""

    def __init__(self, shape: GemmaShape, vocabulary: int, adaptive: bool) -> None:
        super().__init__()
        self.model = GemmaStack(shape, None, adaptive)
        self.lm_head = nn.Linear(shape.width, vocabulary, bias=False)
        self.lm_head.requires_grad_(False)


class PaliGemmaWithExpert(nn.Module):
    """Both towers, whose layers attend to each other pair by pair."""

    def __init__(self, config: Pi0Config) -> None:
        super().__init__()
        self.paligemma = PaliGemma(config)
        self.gemma_expert = _Expert(config.expert, config.vocabulary, config.conditioning == "ada_rms")


# openpi, ``to_bfloat16_for_selected_params``: what keeps 32 bits within the towers
_IN_32_BITS = ("patch_embedding", "position_embedding", "input_layernorm", "post_attention_layernorm", "model.norm")


def cast_towers(towers: PaliGemmaWithExpert, dtype: torch.dtype, vision: bool = True) -> None:
    """Casts the towers, in place, as the references do for 16 bits; the head's projections keep their own type.

    Args:
        towers: the towers.
        dtype: mostly ``bfloat16``.
        vision: False: leave the vision tower and its projector as they are, as LeRobot does.
    """
    kept = _IN_32_BITS if vision else (*_IN_32_BITS, "vision_tower", "multi_modal_projector")
    for name, parameter in towers.named_parameters():
        parameter.data = parameter.data.to(torch.float32 if any(part in name for part in kept) else dtype)
