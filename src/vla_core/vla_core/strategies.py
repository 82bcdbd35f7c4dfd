"""The names of the strategies, apart from what they are: who only passes a name on needs no numerics."""

from __future__ import annotations

from typing import Literal

Strategy = Literal[
    "receding_horizon",
    "synchronous",
    "temporal_ensembling",
    "latest_only",
    "weighted_average",
    "average",
    "conservative",
    "real_time_chunking",
]
"""How chunks are asked for and combined. See docs/strategies.md."""

Decay = Literal["linear", "exp", "ones", "zeros"]
"""Real-time chunking: how the hold on the executed chunk falls behind what is certain to be executed of it."""

DEFAULT_DECAY: Decay = "zeros"
"""At once: the paper's is ``exp``, which was behind where chunks are long (docs/strategies.md has the figures)."""
