"""Who sees whom: prefix tokens (images and prompt) see each other; what follows sees them, block by block."""

from __future__ import annotations

import torch
from torch import Tensor


def block_mask(starts: Tensor, valid: Tensor) -> Tensor:
    """The attention mask (B, query, key), True where a query may look.

    Args:
        starts: (n,) bool, True where a token begins a new block. A block sees itself and those before it.
        valid: (B, n) bool, False for tokens that stand for nothing: they see nothing and nothing sees them.
    """
    block = starts.long().cumsum(dim=0)
    seen = block[None, :] <= block[:, None]
    return seen & valid[:, :, None] & valid[:, None, :]


def positions(valid: Tensor) -> Tensor:
    """Positions (B, n) of tokens: how many of those before them stand for something. The others take up no place."""
    return valid.long().cumsum(dim=1) - 1


def suffix_mask(starts: Tensor, prefix_valid: Tensor) -> Tensor:
    """The rows of :func:`block_mask` (B, query, key) of the suffix, over prefix and suffix.

    Args:
        starts: (n,) bool of the suffix, whose first token begins a block and whose tokens all stand for something.
        prefix_valid: (B, m) bool.
    """
    batch, known = prefix_valid.shape
    valid = torch.cat([prefix_valid, prefix_valid.new_ones((batch, len(starts)))], dim=1)
    return block_mask(torch.cat([starts.new_zeros(known), starts]), valid)[:, known:]
