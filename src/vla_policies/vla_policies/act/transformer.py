"""The transformer layers of ACT: DETR's, in which positions are added to queries and keys at every layer, never to values.

Source: Carion et al., "End-to-End Object Detection with Transformers" (arXiv 2005.12872), appendix A.3. Tensors are
(B, tokens, d). The parameter names inside a layer are those of the original and of LeRobot.
"""

# calling a torch module gives Any
# mypy: no-warn-return-any
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

Activation = Literal["relu", "gelu"]
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu}


@dataclass(frozen=True)
class LayerShape:
    """Sizes and variant of a layer: model width, attention heads, width of the feed-forward part, where the norms stand."""

    dim: int
    heads: int
    feedforward_dim: int
    dropout: float
    activation: Activation
    pre_norm: bool


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward part, each with a residual and a norm."""

    def __init__(self, shape: LayerShape) -> None:
        super().__init__()
        self.self_attn = _attention(shape)
        self.linear1 = nn.Linear(shape.dim, shape.feedforward_dim)
        self.linear2 = nn.Linear(shape.feedforward_dim, shape.dim)
        self.norm1 = nn.LayerNorm(shape.dim)
        self.norm2 = nn.LayerNorm(shape.dim)
        self.dropout = nn.Dropout(shape.dropout)
        self._activation = _ACTIVATIONS[shape.activation]
        self._pre_norm = shape.pre_norm

    def forward(self, x: Tensor, position: Tensor, is_pad: Tensor | None = None) -> Tensor:
        """Tokens (B, n, d), their positions (n, d), and which of them to leave out (B, n) bool; returns (B, n, d)."""
        x = _residual(x, self.norm1, self._pre_norm, lambda y: self._attend(y, position, is_pad))
        return _residual(x, self.norm2, self._pre_norm, self._feed_forward)

    def _attend(self, x: Tensor, position: Tensor, is_pad: Tensor | None) -> Tensor:
        query = x + position
        attended = self.self_attn(query, query, x, key_padding_mask=is_pad, need_weights=False)[0]
        return self.dropout(attended)

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.linear2(self.dropout(self._activation(self.linear1(x)))))


class DecoderLayer(nn.Module):
    """Self-attention among the queries, attention to the memory, and a feed-forward part."""

    def __init__(self, shape: LayerShape) -> None:
        super().__init__()
        self.self_attn = _attention(shape)
        self.multihead_attn = _attention(shape)
        self.linear1 = nn.Linear(shape.dim, shape.feedforward_dim)
        self.linear2 = nn.Linear(shape.feedforward_dim, shape.dim)
        self.norm1 = nn.LayerNorm(shape.dim)
        self.norm2 = nn.LayerNorm(shape.dim)
        self.norm3 = nn.LayerNorm(shape.dim)
        self.dropout = nn.Dropout(shape.dropout)
        self._activation = _ACTIVATIONS[shape.activation]
        self._pre_norm = shape.pre_norm

    def forward(self, x: Tensor, query_position: Tensor, memory: Tensor, memory_position: Tensor) -> Tensor:
        """Queries (B, k, d) with positions (k, d), memory (B, n, d) with positions (n, d); returns (B, k, d)."""
        key = memory + memory_position
        x = _residual(x, self.norm1, self._pre_norm, lambda y: self._attend_queries(y, query_position))
        x = _residual(x, self.norm2, self._pre_norm, lambda y: self._attend_memory(y + query_position, key, memory))
        return _residual(x, self.norm3, self._pre_norm, self._feed_forward)

    def _attend_queries(self, x: Tensor, query_position: Tensor) -> Tensor:
        query = x + query_position
        return self.dropout(self.self_attn(query, query, x, need_weights=False)[0])

    def _attend_memory(self, query: Tensor, key: Tensor, memory: Tensor) -> Tensor:
        return self.dropout(self.multihead_attn(query, key, memory, need_weights=False)[0])

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.linear2(self.dropout(self._activation(self.linear1(x)))))


class Encoder(nn.Module):
    """A stack of encoder layers. With pre-norm layers a norm follows the last one, otherwise none does."""

    def __init__(self, shape: LayerShape, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(shape) for _ in range(layers))
        self.norm = nn.LayerNorm(shape.dim) if shape.pre_norm else nn.Identity()

    def forward(self, x: Tensor, position: Tensor, is_pad: Tensor | None = None) -> Tensor:
        for layer in self.layers:
            x = layer(x, position, is_pad)
        return self.norm(x)


class Decoder(nn.Module):
    """A stack of decoder layers and a norm.

    The original builds seven layers and returns the normalised output of the first, so its checkpoints are read as one
    layer; LeRobot uses as many as it has.
    """

    def __init__(self, shape: LayerShape, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(shape) for _ in range(layers))
        self.norm = nn.LayerNorm(shape.dim)

    def forward(self, x: Tensor, query_position: Tensor, memory: Tensor, memory_position: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x, query_position, memory, memory_position)
        return self.norm(x)


def _attention(shape: LayerShape) -> nn.MultiheadAttention:
    return nn.MultiheadAttention(shape.dim, shape.heads, dropout=shape.dropout, batch_first=True)


def _residual(x: Tensor, norm: nn.Module, pre_norm: bool, block: Callable[[Tensor], Tensor]) -> Tensor:
    return x + block(norm(x)) if pre_norm else norm(x + block(x))
