"""Vision backbones: image (B, 3, H, W) to features (B, channels, h, w)."""

from vla_policies.backbones.resnet import ResNet18
from vla_policies.backbones.small_cnn import SmallCnn

BACKBONES: dict[str, type[ResNet18] | type[SmallCnn]] = {"resnet18": ResNet18, "small_cnn": SmallCnn}
