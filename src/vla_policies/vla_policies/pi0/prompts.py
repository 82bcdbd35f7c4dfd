"""Instructions, and pi0.5's state, as text and as tokens.

Source: Physical-Intelligence/openpi, ``models/tokenizer.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vla_core.errors import CheckpointError

Encode = Callable[[str], list[int]]
"""Text to token numbers, without any that mark beginning or end."""

PAD, BEGIN = 0, 2  # of PaliGemma's vocabulary, whose 1 and 3 are end and unknown
STATE_STEPS = 256

_FIRST_BYTE = 4
_FIRST_NUMBER = _FIRST_BYTE + 256
BYTE_VOCABULARY = _FIRST_NUMBER + STATE_STEPS
_NUMBER = re.compile(r"(?<!\d)(0|[1-9]\d{0,2})(?!\d)")


def encode_bytes(text: str) -> list[int]:
    """Text to tokens without a vocabulary: a token for each byte, and one for each whole number from 0 to 255.

    To learn from scratch what digits mean takes more demonstrations than to learn what 256 tokens mean.
    """
    tokens: list[int] = []
    end = 0
    for found in _NUMBER.finditer(text):
        if int(found.group()) < STATE_STEPS:
            tokens += [_FIRST_BYTE + byte for byte in text[end : found.start()].encode()]
            tokens.append(_FIRST_NUMBER + int(found.group()))
            end = found.end()
    return tokens + [_FIRST_BYTE + byte for byte in text[end:].encode()]


def instruction_tokens(task: str, encode: Encode) -> list[int]:
    """pi0's prompt: the instruction and an end of line, which is a token of its own whatever stands before it."""
    return [BEGIN, *encode(_cleaned(task)), *encode("\n")]


def instruction_and_state_tokens(task: str, state: Sequence[int], encode: Encode) -> list[int]:
    """pi0.5's prompt: the instruction, and the state in steps as :func:`state_steps` makes them."""
    told = " ".join(str(step) for step in state)
    return [BEGIN, *encode(f"Task: {_cleaned(task)}, State: {told};\nAction: ")]


def state_steps(state: Tensor) -> Tensor:
    """A normalised state (B, S) in 256 equal steps from -1 to 1, 0 to 255; what is below is -1, what is above 255."""
    edges = torch.linspace(-1.0, 1.0, STATE_STEPS + 1, device=state.device)[:-1]
    return torch.bucketize(state.contiguous(), edges, right=True) - 1


def padded(prompts: Sequence[Sequence[int]], length: int) -> tuple[Tensor, Tensor]:
    """Token numbers (B, length), and which of them are no padding (B, length) bool.

    Raises:
        CheckpointError: a prompt is longer.
    """
    longest = max(len(prompt) for prompt in prompts)
    if longest > length:
        raise CheckpointError(f"prompt_length: expected prompts of at most {length} tokens, found one of {longest}")
    tokens = torch.tensor([[*prompt, *[PAD] * (length - len(prompt))] for prompt in prompts])
    counts = torch.tensor([len(prompt) for prompt in prompts])
    return tokens, torch.arange(length) < counts[:, None]


def _cleaned(task: str) -> str:
    return task.strip().replace("_", " ").replace("\n", " ")
