"""Between what the robot gives and takes and what a network sees and outputs. Each transform undoes itself where it can."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vla_core.embodiment import Embodiment
from vla_policies.normalisation import Normalisation
from vla_policies.spec import ImageSize, PolicySpec

_WHITE = 255.0


def resize_image(image: NDArray[np.uint8], size: ImageSize) -> NDArray[np.uint8]:
    """An image (H, W, 3) uint8 at another size, averaging over areas, so that shrinking does not alias; or itself."""
    if image.shape[:2] == (size.height, size.width):
        return image
    return np.asarray(cv2.resize(image, (size.width, size.height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def images_to_tensor(images: NDArray[np.uint8], normalisation: Normalisation, device: torch.device) -> Tensor:
    """Images (B, H, W, 3) uint8 RGB to normalised (B, 3, H, W) float32, in memory still channels last, which is faster."""
    scale, shift = _channel_scale_and_shift(normalisation, device)
    tensor = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float()
    return tensor.mul_(scale).sub_(shift)


def tensor_to_images(tensor: Tensor, normalisation: Normalisation) -> NDArray[np.uint8]:
    """Undoes :func:`images_to_tensor`; what lies outside of 0 to 255 is cut off."""
    scale, shift = _channel_scale_and_shift(normalisation, tensor.device)
    pixels = ((tensor + shift) / scale).round().clamp(0.0, _WHITE)
    return pixels.permute(0, 2, 3, 1).to(torch.uint8).cpu().numpy()


def _channel_scale_and_shift(normalisation: Normalisation, device: torch.device) -> tuple[Tensor, Tensor]:
    """The normalisation of x / 255 as one multiplication and one subtraction, each (3, 1, 1)."""
    black = normalisation.forward(np.zeros(3))
    scale = (normalisation.forward(np.ones(3)) - black) / _WHITE
    return _per_channel(scale, device), _per_channel(-black, device)


def _per_channel(values: NDArray[np.float64], device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device)[:, None, None]


@dataclass(frozen=True, eq=False)
class ActionReference:
    """Actions as offsets from the joint positions at the observation, in the dimensions that have such a position.

    Attributes:
        anchored: indices of these dimensions in the action.
        anchors: indices of their positions in ``qpos``, in the same order.
    """

    anchored: NDArray[np.intp]
    anchors: NDArray[np.intp]

    @staticmethod
    def of(spec: PolicySpec, embodiment: Embodiment) -> ActionReference:
        """Matches actions and positions by name; with ``action_reference: absolute`` nothing is matched and nothing changes."""
        positions = list(embodiment.names_of(embodiment.proprioception["qpos"]))
        pairs = [
            (index, positions.index(name))
            for index, name in enumerate(embodiment.action_names)
            if spec.action_reference == "qpos" and name in positions and name not in spec.absolute_actions
        ]
        indices = np.array(pairs, dtype=np.intp).reshape(-1, 2)
        return ActionReference(anchored=indices[:, 0], anchors=indices[:, 1])

    def to_offsets(self, actions: NDArray[np.float64], qpos: NDArray[np.float64]) -> NDArray[np.float64]:
        """Actions (B, K, A) in their units, positions (B, n) at the observation; returns (B, K, A)."""
        offsets = actions.copy()
        offsets[..., self.anchored] -= qpos[:, None, self.anchors]
        return offsets

    def to_actions(self, offsets: NDArray[np.float64], qpos: NDArray[np.float64]) -> NDArray[np.float64]:
        """Undoes :meth:`to_offsets`."""
        actions = offsets.copy()
        actions[..., self.anchored] += qpos[:, None, self.anchors]
        return actions
