"""What the original ACT's EpisodicDataset makes of an episode (tonyzhaozh/act, utils.py), from windows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vla_policies.data.window import Window, WindowSpec

_WHITE = 255.0


def act_windows(cameras: Sequence[str] | None = None) -> WindowSpec:
    """Windows as ACT's loader makes them.

    All actions to the end of the episode, zeros behind it, as many as the longest episode has; one step earlier where the
    attribute ``sim`` of the file is false; rows as they are in the file, whatever their stamps and marks say.
    """
    return WindowSpec(
        horizon=None,
        cameras=None if cameras is None else tuple(cameras),
        padding="zeros",
        gaps="ignored",
        alignment="act",
        marked="kept",
    )


def act_tensors(window: Window) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A batch in the form of ACT's, before its normalisation with statistics.

    Returns:
        Images (B, cameras, 3, H, W) float32 from 0 to 1, ``qpos`` (B, n) float32, actions (B, K, A) float32, and where they are
        padding (B, K).
    """
    images = torch.from_numpy(np.stack(list(window.last_images.values()), axis=1))
    return (
        images.permute(0, 1, 4, 2, 3) / _WHITE,
        torch.from_numpy(window.last_proprioception["qpos"]).float(),
        torch.from_numpy(window.actions).float(),
        torch.from_numpy(window.action_is_pad),
    )
