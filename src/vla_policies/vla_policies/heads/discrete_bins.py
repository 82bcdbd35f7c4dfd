"""The action head of OpenVLA: every number of an action is a token, the last ones of the language model's vocabulary.

Source: Kim et al., "OpenVLA" (arXiv 2406.09246), section 3.2, and openvla/openvla, ``prismatic/vla/action_tokenizer.py``.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vla_policies.heads.masked import masked_mean
from vla_policies.heads.tables import Tables


class DiscreteBins(Tables):
    """Normalised actions as tokens. It has no parameters: the scores of the tokens come from the language model's own head.

    ``bins`` edges divide -1 to 1 evenly. A value's digit d is the number of edges that are not above it, from 1 to ``bins``,
    and its token is ``vocabulary - d``; a token means the middle between its two edges. The value 1 alone has the digit
    ``bins``, behind which there is no further edge, and means what the digit before it means.
    """

    edges: Tensor
    centres: Tensor

    def __init__(self, vocabulary: int, bins: int = 256) -> None:
        """``vocabulary`` is the size without the rows that pad it (32000 of Llama 2's 32064)."""
        # not torch.linspace: its last bits differ, and what lies on an edge would get another token
        edges = torch.from_numpy(np.linspace(-1.0, 1.0, bins))
        super().__init__(edges=edges, centres=(edges[:-1] + edges[1:]) / 2.0)
        self.vocabulary = vocabulary
        self.bins = bins

    def encode(self, actions: Tensor) -> Tensor:
        """Normalised actions to token ids, of the same shape. What lies outside of -1 to 1 is cut off."""
        digits = torch.bucketize(actions.double().clamp(-1.0, 1.0), self.edges, right=True)
        return self.vocabulary - digits

    def decode(self, ids: Tensor) -> Tensor:
        """Token ids to normalised actions, float64, of the same shape. Ids that are no action's mean the nearest that is."""
        index = (self.vocabulary - ids - 1).clamp(0, self.bins - 2)
        return self.centres[index]

    def loss(self, logits: Tensor, actions: Tensor, is_pad: Tensor) -> Tensor:
        """Cross-entropy, a scalar.

        Args:
            logits: over the whole vocabulary, one row for every number of the chunk (B, K * A, V).
            actions: normalised (B, K, A).
            is_pad: steps that do not count (B, K).
        """
        ids = self.encode(actions)
        each = F.cross_entropy(logits.flatten(0, 1).float(), ids.flatten(), reduction="none")
        return masked_mean(each.view(ids.shape), is_pad)
