"""Instructions and states as text, bytes and tokens."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vla_core.errors import CheckpointError
from vla_policies.pi0 import prompts


def characters(text: str) -> list[int]:
    return [ord(character) for character in text]


def as_text(tokens: list[int]) -> str:
    return "".join(chr(token) for token in tokens)


def test_pi0s_prompt() -> None:
    begin, *rest = prompts.instruction_tokens(" pick_up\nthe cube ", characters)
    assert (begin, as_text(rest)) == (prompts.BEGIN, "pick up the cube\n")


def test_pi05s_prompt() -> None:
    begin, *rest = prompts.instruction_and_state_tokens("pick_up ", [0, 255, -1], characters)
    assert (begin, as_text(rest)) == (prompts.BEGIN, "Task: pick up, State: 0 255 -1;\nAction: ")


def test_the_state_in_steps_as_numpy_counts_them() -> None:
    edges = np.linspace(-1.0, 1.0, 257)[:-1]
    values = np.concatenate([edges, edges - 1e-4, np.linspace(-1.3, 1.3, 200), [0.0, -1.0, 1.0]])
    steps = prompts.state_steps(torch.from_numpy(values)[None])
    np.testing.assert_array_equal(steps[0].numpy(), np.digitize(values, edges) - 1)


def test_bytes_and_numbers() -> None:
    tokens = prompts.encode_bytes("é 12 255 256 07")
    byte, number = 4, 4 + 256
    assert tokens[:3] == [byte + 0xC3, byte + 0xA9, byte + 32]
    assert tokens[3:6] == [number + 12, byte + 32, number + 255]
    assert tokens[6:] == [byte + value for value in b" 256 07"]
    assert max(prompts.encode_bytes("255")) == prompts.BYTE_VOCABULARY - 1


def test_padding() -> None:
    tokens, valid = prompts.padded([[2, 7], [2, 7, 9, 9]], 5)
    assert tokens.tolist() == [[2, 7, 0, 0, 0], [2, 7, 9, 9, 0]]
    assert valid.sum(dim=1).tolist() == [2, 4]
    with pytest.raises(CheckpointError, match="at most 3 tokens, found one of 4"):
        prompts.padded([[2, 7, 9, 9]], 3)
