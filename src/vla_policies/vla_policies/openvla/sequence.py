"""What the language model of OpenVLA-OFT reads: image patches, further tokens, a prompt, and empty slots for the actions.

::

    BOS | patches of all images | proprioception | diffusion time | rest of the prompt | K * A slots | stop
         '-------------------- context ---------------------------'

All the slots are decoded at once, with attention both ways. As in a language model, the hidden state of a position predicts the
token after it, so those that are read begin one before the first slot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SequenceLayout:
    """Where things are in a sequence.

    Attributes:
        context: tokens between BOS and the rest of the prompt.
        prompt: tokens of the prompt, BOS among them.
        slots: K * A.
    """

    context: int
    prompt: int
    slots: int

    @property
    def first_slot(self) -> int:
        return self.context + self.prompt

    @property
    def end_of_slots(self) -> int:
        return self.first_slot + self.slots

    @property
    def readouts(self) -> slice:
        """The positions whose hidden states say what belongs into the slots."""
        return slice(self.first_slot - 1, self.end_of_slots - 1)

    @property
    def length(self) -> int:
        """With the stop token."""
        return self.end_of_slots + 1


@dataclass(frozen=True, eq=False)
class Prompt:
    """A batch of prompts as embeddings.

    Attributes:
        embeddings: BOS first (B, P, d). Shorter prompts are padded after BOS, so that all end together.
        is_there: which are no padding (B, P); None: all.
    """

    embeddings: Tensor
    is_there: Tensor | None = None


def sequence(prompt: Prompt, context: Tensor, *after: Tensor) -> tuple[Tensor, Tensor | None]:
    """Joins a sequence.

    Args:
        prompt: its embeddings (B, P, d).
        context: what comes behind BOS (B, n, d).
        after: what comes behind the prompt, each (B, m, d).

    Returns:
        The sequence (B, L, d), and which of its positions are no padding (B, L), or None for all of them.
    """
    embeddings = prompt.embeddings
    joined = torch.cat([embeddings[:, :1], context, embeddings[:, 1:], *after], dim=1)
    if prompt.is_there is None:
        return joined, None
    there = prompt.is_there.new_ones(len(embeddings), joined.shape[1])
    behind_bos = 1 + context.shape[1]
    there[:, behind_bos : context.shape[1] + embeddings.shape[1]] = prompt.is_there[:, 1:]
    return joined, there


def decode_slots(
    language_model: Callable[[Tensor, Tensor | None], Tensor],
    prompt: Prompt,
    context: Tensor,
    slots: Tensor,
    stop: Tensor,
) -> Tensor:
    """The hidden states that say what belongs into the slots (B, S, d).

    Args:
        language_model: a sequence (B, L, d), and what in it is no padding, to hidden states (B, L, d).
        prompt: its embeddings (B, P, d).
        context: what comes behind BOS (B, n, d).
        slots: their embeddings (B, S, d): zeros, or noisy actions.
        stop: embedding of the stop token (d,).
    """
    layout = SequenceLayout(context.shape[1], prompt.embeddings.shape[1], slots.shape[1])
    joined, is_there = sequence(prompt, context, slots, stop.expand(len(slots), 1, -1))
    return language_model(joined, is_there)[:, layout.readouts]


def mean_language(prompt: Prompt, stop: Tensor) -> Tensor:
    """The mean (B, d) over the prompt's embeddings and that of the stop token (d,): what FiLM modulates the images with."""
    embeddings = prompt.embeddings
    if prompt.is_there is None:
        return torch.cat([embeddings, stop.expand(len(embeddings), 1, -1)], dim=1).mean(dim=1)
    there = prompt.is_there[..., None].to(embeddings)
    return ((embeddings * there).sum(dim=1) + stop) / (there.sum(dim=1) + 1.0)
