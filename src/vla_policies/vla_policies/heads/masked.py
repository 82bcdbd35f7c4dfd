"""Means over what counts: the steps of a chunk that are not past the end of an episode."""

from __future__ import annotations

from torch import Tensor


def masked_mean(values: Tensor, is_pad: Tensor) -> Tensor:
    """Mean of values (B, K, ...) over the steps that are not padding, as ``is_pad`` (B, K) has it; 0 if all are."""
    valid = (~is_pad).reshape(*is_pad.shape, *(1 for _ in values.shape[2:]))
    each = values[0, 0].numel()
    return (values * valid).sum() / (valid.sum() * each).clamp_min(1)
