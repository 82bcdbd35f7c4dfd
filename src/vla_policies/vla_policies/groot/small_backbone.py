"""A vision-language backbone that learns from scratch, on a processor, from about a hundred demonstrations."""

# calling a torch module gives Any
# mypy: no-warn-return-any
from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vla_policies.act.image_tokens import KeyPointTokens
from vla_policies.backbones.small_cnn import SmallCnn
from vla_policies.groot.config import SmallBackboneConfig

_BYTES = 256


class SmallBackbone(nn.Module):
    """Images and instructions to features (B, cameras + 1, dim): one token for each camera, one for the instruction."""

    def __init__(self, config: SmallBackboneConfig, cameras: int, dim: int) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(SmallCnn() for _ in range(cameras))
        self.image_tokens = nn.ModuleList(
            KeyPointTokens(SmallCnn.channels, dim, config.key_points) for _ in range(cameras)
        )
        self.text = nn.EmbeddingBag(_BYTES * config.prompt_length, dim, mode="sum", include_last_offset=True)
        nn.init.normal_(self.text.weight, std=0.02)
        self._length = config.prompt_length

    def forward(self, images: Sequence[Tensor], prompts: Sequence[str]) -> Tensor:
        """Images, one (B, 3, H, W) for each camera, and one instruction for each of the batch."""
        tokens = [self._instructions(prompts)]
        for encoder, key_points, image in zip(self.encoders, self.image_tokens, images, strict=True):
            token, position = key_points(encoder(image))
            tokens.append(token + position)
        return torch.cat(tokens, dim=1)

    def _instructions(self, prompts: Sequence[str]) -> Tensor:
        """One token (B, 1, dim) for each text: the sum of what each byte at each place means."""
        rows = [[index * _BYTES + byte for index, byte in enumerate(text.encode()[: self._length])] for text in prompts]
        offsets = torch.tensor([0, *(len(row) for row in rows)]).cumsum(0)
        device = self.text.weight.device
        numbers = torch.tensor([number for row in rows for number in row], dtype=torch.int64, device=device)
        return self.text(numbers, offsets.to(device))[:, None]
