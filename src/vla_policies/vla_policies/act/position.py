"""Sine position encodings of ACT. Interleaved: even channels are sines, odd channels cosines."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_TEMPERATURE = 10000.0
_EPS = 1e-6  # keeps a map of one row or column finite; part of DETR's definition


def sine_positions(length: int, dim: int) -> Tensor:
    """Encodings (length, dim) of positions 0 ... length - 1, whose angles are ``position / 10000^(2 floor(j / 2) / dim)``.

    They are true ones on the processor also where a network is built without its weights.

    Source: Vaswani et al., "Attention Is All You Need" (arXiv 1706.03762), section 3.5.
    """
    return _interleaved(torch.arange(length, dtype=torch.float64, device="cpu"), dim).float()


def sine_positions_2d(height: int, width: int, dim: int, device: torch.device | str = "cpu") -> Tensor:
    """Encodings (dim, height, width) on a device: the first dim / 2 channels say the row, the others the column.

    Rows and columns are counted from 1 and scaled to (0, 2 pi], so that maps of different size agree at their far edges.
    Source: DETR, ``models/position_encoding.py``, ``PositionEmbeddingSine(normalize=True)``.
    """
    row = _interleaved(_scaled(height, device), dim // 2)  # (height, dim / 2)
    column = _interleaved(_scaled(width, device), dim // 2)  # (width, dim / 2)
    rows = row[:, None, :].expand(height, width, -1)
    columns = column[None, :, :].expand(height, width, -1)
    return torch.cat([rows, columns], dim=-1).permute(2, 0, 1).float()


def _scaled(count: int, device: torch.device | str) -> Tensor:
    return torch.arange(1, count + 1, dtype=torch.float64, device=device) / (count + _EPS) * (2.0 * math.pi)


def _interleaved(position: Tensor, dim: int) -> Tensor:
    channel = torch.arange(dim, dtype=torch.float64, device=position.device)
    exponent = 2.0 * torch.div(channel, 2, rounding_mode="floor") / dim
    angle = position[:, None] / _TEMPERATURE**exponent
    return torch.where(channel % 2 == 0, angle.sin(), angle.cos())
