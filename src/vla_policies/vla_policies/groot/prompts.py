"""Instructions as Eagle reads them: a conversation, with the places of the images before the text.

Source: NVIDIA/Isaac-GR00T, ``gr00t/model/transforms.py``, and the template of Eagle's processor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vla_core.errors import CheckpointError

PAD = 151643
"""``<|endoftext|>`` of Qwen"""

_PLACE = "<IMG_CONTEXT>"


def conversation(instruction: str, images: int, tokens_per_image: int, as_list: bool) -> str:
    """The text whose tokens the language model reads.

    Args:
        instruction: what the robot is to do.
        images: how many there are.
        tokens_per_image: how many places each takes.
        as_list: write the instruction as Python writes a list of one text, ``['...']``.
    """
    places = "".join(f"<image {index + 1}><img>{_PLACE * tokens_per_image}</img>" for index in range(images))
    asked = str([instruction]) if as_list else instruction
    return (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        f"<|im_start|>user\n{places}{asked}<|im_end|>\n<|im_start|>assistant\n"
    )


def image_token(encode: Callable[[str], list[int]]) -> int:
    """The token of an image's place. Raises CheckpointError if a tokenizer has none."""
    tokens = encode(_PLACE)
    if len(tokens) != 1:
        raise CheckpointError(f"tokenizer: expected Eagle's, which has a token '{_PLACE}', found one that has none")
    return tokens[0]


def padded(rows: Sequence[Sequence[int]], padding: int = PAD) -> tuple[Tensor, Tensor]:
    """Token numbers (B, T) with the padding in front, and which of them are no padding (B, T) bool."""
    longest = max(len(row) for row in rows)
    tokens = torch.tensor([[*[padding] * (longest - len(row)), *row] for row in rows])
    counts = torch.tensor([len(row) for row in rows])
    return tokens, torch.arange(longest) >= longest - counts[:, None]
