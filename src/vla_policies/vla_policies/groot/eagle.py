"""Eagle, the vision-language model of GR00T N1.5: images as tokens among those of a text, read by a language model.

Source: Li et al., "Eagle 2" (arXiv 2501.14818), in GR00T's variant: no pixel shuffle and a connector of one layer, so that a
patch is a token. Parameter names are those of GR00T's checkpoints.
"""

# calling a torch module gives Any
# mypy: no-warn-return-any
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vla_policies.groot.config import EagleConfig
from vla_policies.groot.qwen3 import CausalLanguageModel
from vla_policies.pi0.config import SiglipShape
from vla_policies.pi0.siglip import SiglipTower


class _PoolingHead(nn.Module):
    """SigLIP's attention pooling, which is in the checkpoints and never used."""

    def __init__(self, shape: SiglipShape) -> None:
        super().__init__()
        self.probe = nn.Parameter(torch.zeros(1, 1, shape.width))
        self.attention = nn.MultiheadAttention(shape.width, shape.heads, batch_first=True)
        self.layernorm = nn.LayerNorm(shape.width)
        self.mlp = nn.ModuleDict(
            {"fc1": nn.Linear(shape.width, shape.mlp_dim), "fc2": nn.Linear(shape.mlp_dim, shape.width)}
        )
        self.requires_grad_(False)


class Eagle(nn.Module):
    """Images and token numbers to features (B, T, width)."""

    def __init__(self, config: EagleConfig) -> None:
        super().__init__()
        self.config = config
        self.vision_model = SiglipTower(config.vision)
        self.vision_model.vision_model.head = _PoolingHead(config.vision)
        self.mlp1 = nn.Sequential(nn.Linear(config.vision.width, config.language.width))
        self.language_model = CausalLanguageModel(config.language)

    @property
    def image_tokens(self) -> int:
        """How many tokens an image becomes."""
        vision = self.config.vision
        return (vision.image // vision.patch) ** 2

    def forward(self, images: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """Features of every token, those of padding too.

        Args:
            images: (B, cameras, 3, H, W) from -1 to 1.
            tokens: (B, T) int64, in which ``image_token`` stands cameras x n times. Better still on the processor, where they are
                counted.
            mask: (B, T) bool, False where there is padding.

        Raises:
            ValueError: another number of places for patches than there are patches.
        """
        wanted = images.shape[0] * images.shape[1] * self.image_tokens
        places = tokens == self.config.image_token
        if int(places.sum()) != wanted:
            raise ValueError(f"expected {wanted} places for patches of images, found {int(places.sum())}")
        tokens, places, mask = (part.to(images.device) for part in (tokens, places, mask))
        patches = self.mlp1(self.vision_model(images.flatten(0, 1))).flatten(0, 1)
        embedded = self.language_model.model.embed_tokens(tokens)
        embedded = embedded.masked_scatter(places[..., None], patches.to(embedded.dtype))
        return self.language_model.model(embedded, mask)


class EagleBackbone(nn.Module):
    """Eagle under the name that it has in GR00T's checkpoints."""

    def __init__(self, config: EagleConfig) -> None:
        super().__init__()
        self.eagle_model = Eagle(config)

    def forward(self, images: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """As :meth:`Eagle.forward`."""
        return self.eagle_model(images, tokens, mask)


def centre_crop(images: Tensor, share: float, size: int, mode: str = "bilinear") -> Tensor:
    """The middle of images (B, 3, H, W) from -1 to 1, a share of their height and width, as (B, 3, size, size).

    Resizing averages where it shrinks, as the references do. (They round to whole levels of brightness behind it; this does
    not.)
    """
    height, width = images.shape[-2:]
    rows, columns = max(1, int(height * share)), max(1, int(width * share))
    top, left = round((height - rows) / 2), round((width - columns) / 2)
    cropped = images[..., top : top + rows, left : left + columns]
    return F.interpolate(cropped, size=(size, size), mode=mode, align_corners=False, antialias=True).clamp(-1.0, 1.0)
