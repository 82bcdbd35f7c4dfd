"""From images to the tokens of OpenVLA's language model: the two published towers, or a small backbone to learn from scratch."""

# calling a torch module gives Any
# mypy: no-warn-return-any
from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vla_policies.act.image_tokens import KeyPointTokens
from vla_policies.backbones.small_cnn import SmallCnn
from vla_policies.normalisation import IMAGENET
from vla_policies.openvla.config import OpenVlaConfig
from vla_policies.openvla.images import crop_centre, resize
from vla_policies.openvla.projectors import PatchProjector
from vla_policies.openvla.vision_transformer import VisionTransformer


class DinoSiglip(nn.Module):
    """Both towers, whose patches are joined: images (B, 6, size, size) to (B, n, sum of the widths).

    The first three channels of an image are normalised for DINOv2, the others for SigLIP.
    """

    def __init__(self, config: OpenVlaConfig) -> None:
        super().__init__()
        film_dim = config.language.hidden_dim if config.film else None
        self.featurizer = VisionTransformer(config.dino, config.image_size, film_dim)
        self.fused_featurizer = VisionTransformer(config.siglip, config.image_size, film_dim)

    def forward(self, images: Tensor, language: Tensor | None = None) -> Tensor:
        return torch.cat(
            [self.featurizer(images[:, :3], language), self.fused_featurizer(images[:, 3:], language)], dim=-1
        )


class SmallVision(nn.Module):
    """A backbone of its own for each camera, and one token of key points: images (B, 3, H, W) to (B, cameras, d)."""

    def __init__(self, config: OpenVlaConfig, cameras: int) -> None:
        super().__init__()
        dim = config.language.hidden_dim
        self.cameras = nn.ModuleList(SmallCnn() for _ in range(cameras))
        self.tokens = nn.ModuleList(KeyPointTokens(SmallCnn.channels, dim, config.key_points) for _ in range(cameras))

    def forward(self, images: Sequence[Tensor]) -> Tensor:
        per_camera = (
            tokens(camera(image)) for camera, tokens, image in zip(self.cameras, self.tokens, images, strict=True)
        )
        return torch.cat([token + position for token, position in per_camera], dim=1)


def patch_tokens(
    towers: DinoSiglip, projector: PatchProjector, images: Sequence[Tensor], language: Tensor | None
) -> Tensor:
    """Tokens (B, cameras * n, d) of images (B, 6, size, size), camera by camera, each image seen on its own."""
    joined = torch.cat(list(images))
    repeated = None if language is None else language.repeat(len(images), 1)
    patches = projector(towers(joined, repeated))
    return torch.cat(patches.chunk(len(images)), dim=1)


def for_both_towers(image: Tensor, config: OpenVlaConfig) -> Tensor:
    """An image of any size with ImageNet's normalisation (B, 3, H, W) to what the towers see (B, 6, size, size).

    The second three of its channels go from -1 to 1, as SigLIP has them.
    """
    stats = IMAGENET.stats
    assert stats is not None
    mean, std = (image.new_tensor(values)[:, None, None] for values in (stats.mean, stats.std))
    pixels = resize(image * std + mean, config.image_size, config.image_resize)
    if config.centre_crop:
        pixels = crop_centre(pixels)
    return torch.cat([(pixels - mean) / std, 2.0 * pixels - 1.0], dim=1)
