"""The transformer of CrossFormer: pre-norm layers in which positions are added to queries and keys at every layer.

Source: rail-berkeley/crossformer, ``model/components/transformer.py`` with ``repeat_pos_enc``. Tensors are (B, tokens, d).
"""

# calling a torch module gives Any
# mypy: no-warn-return-any
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vla_policies.crossformer.config import Trunk

_NORM_EPS = 1e-6


class _Attention(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)
        self._heads = heads

    def forward(self, query_key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
        q, k, v = (
            projected.unflatten(-1, (self._heads, -1)).transpose(1, 2)
            for projected in (self.query(query_key), self.key(query_key), self.value(value))
        )
        # mixed precision may have made the scores narrower than the tokens: lowest is then lower than any number, or a row is NaN
        lowest = torch.finfo(q.dtype).min
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype).clamp_min(lowest))
        return self.out(attended.transpose(1, 2).flatten(2))


class _Layer(nn.Module):
    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(trunk.token_dim, eps=_NORM_EPS)
        self.attention = _Attention(trunk.token_dim, trunk.heads)
        self.norm2 = nn.LayerNorm(trunk.token_dim, eps=_NORM_EPS)
        self.linear1 = nn.Linear(trunk.token_dim, trunk.mlp_dim)
        self.linear2 = nn.Linear(trunk.mlp_dim, trunk.token_dim)
        self.dropout = nn.Dropout(trunk.dropout)

    def forward(self, x: Tensor, position: Tensor, bias: Tensor) -> Tensor:
        normed = self.norm1(x)
        x = x + self.dropout(self.attention(normed + position, normed, bias))
        hidden = self.dropout(F.gelu(self.linear1(self.norm2(x)), approximate="tanh"))
        return x + self.dropout(self.linear2(hidden))


class Transformer(nn.Module):
    """A stack of such layers and a norm."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_Layer(trunk) for _ in range(trunk.layers))
        self.norm = nn.LayerNorm(trunk.token_dim, eps=_NORM_EPS)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor, position: Tensor, attends: Tensor) -> Tensor:
        """Tokens and their positions, each (B or 1, n, d), and which query attends to which key (B, n, n) bool.

        A query that attends to nothing averages all tokens, as in the reference; nothing that counts reads such a token.
        """
        lowest = torch.finfo(x.dtype).min
        bias = torch.zeros(attends.shape, dtype=x.dtype, device=x.device).masked_fill_(~attends, lowest)[:, None]
        for layer in self.layers:
            x = layer(x, position, bias)
        return self.norm(x)
