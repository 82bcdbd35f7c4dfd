"""Key points: where in an image each of some maps is largest, to a fraction of a cell.

Source: Levine et al., "End-to-End Training of Deep Visuomotor Policies" (arXiv 1504.00702), section 5.1.
"""

from __future__ import annotations

import torch
from torch import Tensor


def key_points(maps: Tensor) -> Tensor:
    """Maps (B, n, h, w) to the mean position under the softmax of each (B, n, 2): column and row, from -1 (first) to 1 (last)."""
    height, width = maps.shape[-2:]
    weights = maps.flatten(2).softmax(dim=-1).unflatten(-1, (height, width))  # type: ignore[no-untyped-call]
    columns = weights.sum(dim=-2) @ _from_first_to_last(width, maps)
    rows = weights.sum(dim=-1) @ _from_first_to_last(height, maps)
    return torch.stack([columns, rows], dim=-1)


def _from_first_to_last(count: int, like: Tensor) -> Tensor:
    return torch.linspace(-1.0, 1.0, count, dtype=torch.float32, device=like.device).to(like.dtype)
