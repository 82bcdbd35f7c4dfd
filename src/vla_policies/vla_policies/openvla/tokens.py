"""Prompts as tokens: by Llama's tokenizer, from a file that the user has, or byte by byte.

The bytes have the ids that Llama's vocabulary gives them, so a network with that vocabulary can be given either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Tokenizer = Callable[[str], list[int]]

PAD, BOS, STOP = 0, 1, 2
_FIRST_BYTE = 3


def byte_tokens(text: str) -> list[int]:
    """One token for every byte of the text in UTF-8."""
    return [_FIRST_BYTE + byte for byte in text.encode()]


def prompt_tokens(
    tasks: Sequence[str], template: str, end_of_prompt: int, tokenizer: Tokenizer = byte_tokens
) -> tuple[Tensor, Tensor | None]:
    """The tokens of instructions.

    Args:
        tasks: one for each of the batch. They are put into lower case.
        template: the prompt, with the place ``{task}``.
        end_of_prompt: the token that every prompt must end with.
        tokenizer: of the text without BOS.

    Returns:
        Token ids (B, P), BOS first; and which are no padding (B, P), or None if all are of one length. Padding comes after BOS.
    """
    rows = [_closed(tokenizer(template.replace("{task}", task.lower())), end_of_prompt) for task in tasks]
    longest = max(len(row) for row in rows)
    ids = torch.tensor([[BOS, *[PAD] * (longest - len(row)), *row] for row in rows])
    if all(len(row) == longest for row in rows):
        return ids, None
    return ids, torch.tensor([[True, *[False] * (longest - len(row)), *[True] * len(row)] for row in rows])


def _closed(row: list[int], end_of_prompt: int) -> list[int]:
    return row if row and row[-1] == end_of_prompt else [*row, end_of_prompt]
