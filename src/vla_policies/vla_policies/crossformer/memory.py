"""What a running policy remembers: its last observations, and the images of its goal."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from vla_core.errors import CheckpointError
from vla_policies.batch import NetworkInputs
from vla_policies.crossformer.network import normalise_pixels
from vla_policies.spec import ImageSize
from vla_policies.transforms import resize_image


class Memory:
    """The last observations that were inferred from, as many as the network is to see.

    The reference does the same: an observation for each time that it is asked, the first ones padded in front and masked.
    """

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._seen: deque[NetworkInputs] = deque(maxlen=steps)

    def forget(self) -> None:
        """What is seen next is the first."""
        self._seen.clear()

    def with_last(self, inputs: NetworkInputs) -> tuple[tuple[Tensor, ...], Tensor, Tensor]:
        """Remembers observations (B, ...), and gives them with those before.

        Returns:
            Images of each camera (B, T, 3, H, W), states (B, T, S), and which steps there were (B, T) bool; T is always the same.
        """
        if self._seen and _shapes(self._seen[-1]) != _shapes(inputs):
            self.forget()  # a batch of other robots
        self._seen.append(inputs)
        missing = self._steps - len(self._seen)
        steps = [self._seen[0]] * missing + list(self._seen)
        images = tuple(torch.stack(camera, dim=1) for camera in zip(*(step.images for step in steps), strict=True))
        valid = torch.arange(self._steps, device=inputs.state.device) >= missing
        return images, torch.stack([step.state for step in steps], dim=1), valid.expand(len(inputs.state), -1)


def _shapes(inputs: NetworkInputs) -> list[torch.Size]:
    return [tensor.shape for tensor in (*inputs.images, inputs.state)]


class Goals:
    """Images of what is to be reached, from files, by image group."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = dict(files)
        self._read: dict[tuple[str, int, int], Tensor] = {}

    def like(self, images: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The goals (B, 3, H, W) for images (B, T, 3, H, W), from -1 to 1. Raises CheckpointError if a file is no image."""
        return {
            group: self._of(group, *images[group].shape[-2:]).to(images[group]).expand(len(images[group]), -1, -1, -1)
            for group in self._files
            if group in images
        }

    def _of(self, group: str, height: int, width: int) -> Tensor:
        key = (group, height, width)
        if key not in self._read:
            image = read_image(Path(self._files[group]))
            self._read[key] = normalise_pixels(
                torch.from_numpy(resize_image(image, ImageSize(width, height, "lanczos3")))
            )
        return self._read[key]


def read_image(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """An image file as (H, W, 3) uint8 RGB. Raises CheckpointError if it cannot be read or is none."""
    try:
        encoded = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from error
    image = cv2.imdecode(encoded, cv2.IMREAD_COLOR) if encoded.size else None
    if image is None:
        raise CheckpointError(f"{path}: expected an image, found {encoded.size} bytes of something else")
    return np.ascontiguousarray(image[..., ::-1], dtype=np.uint8)
