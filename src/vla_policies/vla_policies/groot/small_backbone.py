"""A vision-language backbone that learns from scratch, on a processor, from about a hundred demonstrations."""

# calling a torch module gives Any
# mypy: no-warn-return-any
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vla_policies.act.image_tokens import KeyPointTokens
from vla_policies.backbones.small_cnn import SmallCnn
from vla_policies.groot.config import SmallBackboneConfig

_BYTES = 256


class SmallBackbone(nn.Module):
    """Images and instructions to features (B, 1 + cameras, dim): a token for the instruction, then one for each camera."""

    def __init__(self, config: SmallBackboneConfig, cameras: int, dim: int) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(SmallCnn() for _ in range(cameras))
        self.image_tokens = nn.ModuleList(
            KeyPointTokens(SmallCnn.channels, dim, config.key_points) for _ in range(cameras)
        )
        self.text = _ByteText(config.prompt_length, dim)

    def forward(self, images: Sequence[Tensor], prompts: Sequence[str]) -> Tensor:
        """Images, one (B, 3, H, W) for each camera, and one instruction for each of the batch."""
        tokens = [self.text(prompts)]
        for encoder, key_points, image in zip(self.encoders, self.image_tokens, images, strict=True):
            token, position = key_points(encoder(image))
            tokens.append(token + position)
        return torch.cat(tokens, dim=1)


class _ByteText(nn.Module):
    """A text to one token (B, 1, dim), from its bytes and where they stand."""

    def __init__(self, length: int, dim: int) -> None:
        super().__init__()
        self.byte = nn.Embedding(_BYTES, dim)
        self.position = nn.Embedding(length, dim)
        self.projection = nn.Linear(dim, dim)
        self._length = length

    def forward(self, texts: Sequence[str]) -> Tensor:
        rows = [list(text.encode()[: self._length]) for text in texts]
        longest = max(1, *(len(row) for row in rows))
        device = self.byte.weight.device
        numbers = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=device)
        counts = torch.tensor([[len(row)] for row in rows], device=device)
        there = (torch.arange(longest, device=device) < counts)[..., None]
        # a product of the two would be as good; their bare sum would not say which byte stands where
        mixed = F.relu(self.byte(numbers) + self.position.weight[:longest]) * there
        return self.projection(mixed.sum(dim=1) / counts.clamp_min(1))[:, None]
