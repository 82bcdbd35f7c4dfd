"""Who attends to whom in CrossFormer's sequence: time steps one after the other, in each the groups of tokens in their order.

::

    t = 0: [primary | ... | bimanual | readouts of head 1 | readouts of head 2]   t = 1: [ ...

An observation sees observations of its own and earlier steps, never a readout. A readout sees these too, and the readouts of
its own head, so heads do not know of each other: what one gives does not depend on which others are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Group:
    """Tokens of one kind.

    Attributes:
        tokens: (B, T, n, d).
        position: (1, T, n, d).
        valid: (B, T) bool, False for steps whose tokens nobody may attend to; None: readouts, which are always valid.
    """

    tokens: Tensor
    position: Tensor
    valid: Tensor | None

    @property
    def count(self) -> int:
        """Tokens of a time step."""
        return self.tokens.shape[2]


def attention_mask(groups: Sequence[Group]) -> Tensor:
    """Which query attends to which key: (B, T * n, T * n) bool, with n the tokens of all groups at one time step."""
    batch, timesteps = groups[0].tokens.shape[:2]
    device = groups[0].tokens.device
    # filled on the device: nothing is sent to it and nothing is waited for
    each = [torch.full((group.count,), index, device=device) for index, group in enumerate(groups)]
    group_of = torch.cat(each).repeat(timesteps)
    time_of = torch.arange(timesteps, device=device).repeat_interleave(len(group_of) // timesteps)
    readout = [torch.full((group.count,), group.valid is None, device=device) for group in groups]
    is_readout = torch.cat(readout).repeat(timesteps)
    not_later = time_of[None, :] <= time_of[:, None]
    may_see = ~is_readout[None, :] | (group_of[None, :] == group_of[:, None])
    return (not_later & may_see)[None] & _valid_keys(groups, batch, timesteps)[:, None, :]


def _valid_keys(groups: Sequence[Group], batch: int, timesteps: int) -> Tensor:
    """(B, T * n) bool."""
    always = torch.ones((batch, timesteps), dtype=torch.bool, device=groups[0].tokens.device)
    per_group = [
        (always if group.valid is None else group.valid)[:, :, None].expand(-1, -1, group.count) for group in groups
    ]
    return torch.cat(per_group, dim=2).flatten(1)
