"""Instructions as vectors, with which the image encoders are conditioned.

The published weights want those of the Universal Sentence Encoder large/5 of TensorFlow Hub (512 numbers, length 1), which
there is nothing of in PyTorch. So they come from a file that was made where there is TensorFlow, or from a function that the user
names; a network that is trained from scratch can do with :func:`hashed`.

The file is a safetensors file with a tensor (e,) for each instruction, by the instruction itself. The empty one is the
instruction of a task that is given by goal images alone.
"""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vla_core.errors import CheckpointError, choice
from vla_policies.errors import MissingInformation
from vla_policies.weights import read_weights, require_finite, write_weights

Encoder = Callable[[Sequence[str]], Any]  # instructions to (n, e) of anything that numpy takes

_WORD = re.compile(r"\w+")
_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def hashed(instruction: str, dim: int) -> Tensor:
    """A vector (dim,) of length 1 that only depends on the words of the instruction and on which follow each other.

    Instructions that share words are alike; what words mean is for the network to learn. It is the same on every machine.
    """
    words = _WORD.findall(instruction.lower())
    parts = ["", *words, *(f"{first} {second}" for first, second in pairwise(words))]
    total = np.sum([_signs(part, dim) for part in parts], axis=0)
    return torch.from_numpy(total / np.linalg.norm(total)).float()


def _signs(text: str, dim: int) -> NDArray[Any]:
    """Numbers -1 and 1 (dim,) that look random, from a hash."""
    digest = hashlib.shake_256(text.encode()).digest(-(-dim // 8))
    return 2.0 * np.unpackbits(np.frombuffer(digest, np.uint8))[:dim] - 1.0


def embeddings_from(source: str, instructions: str = "") -> dict[str, Tensor]:
    """Embeddings by instruction from wherever the user says.

    Args:
        source: a file of embeddings, or ``package.module:function`` as :func:`embed_with` takes it.
        instructions: with a function: a text file with an instruction on each line; the empty one is always embedded too.

    Raises:
        CheckpointError: there are none, or they cannot be used.
    """
    if not _FUNCTION.fullmatch(source):
        return read_embeddings(source)
    if not instructions:
        raise MissingInformation(
            f"encoder '{source}': expected a text file of instructions, one on each line, found none"
        )
    try:
        lines = Path(instructions).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{instructions}: cannot be read ({error})") from error
    return embed_with(source, list(dict.fromkeys(["", *(line.strip() for line in lines)])))


def read_embeddings(path: Path | str) -> dict[str, Tensor]:
    """Reads a file of embeddings by instruction.

    Raises:
        CheckpointError: it cannot be read, is empty, or its embeddings are not vectors of one size and of finite numbers.
    """
    return _checked(read_weights(Path(path)), str(path))


def write_embeddings(path: Path | str, embeddings: Mapping[str, Tensor]) -> None:
    """Writes such a file. Raises CheckpointError if it cannot be written."""
    write_weights(Path(path), embeddings)


def embed_with(name: str, instructions: Sequence[str]) -> dict[str, Tensor]:
    """Embeddings from a function that the user names, which is imported and so may do anything; never take a name from a file.

    Args:
        name: ``package.module:function``; the function is given a list of instructions and returns (n, e) numbers.
        instructions: what to embed.

    Raises:
        CheckpointError: there is no such function, or it returns something else.
    """
    if not _FUNCTION.fullmatch(name):
        raise CheckpointError(f"encoder: expected the name of a function as 'package.module:function', found '{name}'")
    module, _, function = name.partition(":")
    try:
        encoder: Encoder = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise CheckpointError(f"encoder '{name}': cannot be imported ({error})") from error
    values = np.asarray(encoder(list(instructions)), dtype=np.float32)
    if values.ndim != 2 or len(values) != len(instructions):
        raise CheckpointError(
            f"encoder '{name}': expected a vector for each of {len(instructions)} instructions, found the shape {values.shape}"
        )
    return _checked(dict(zip(instructions, torch.from_numpy(values), strict=True)), f"encoder '{name}'")


def table_rows(instructions: Sequence[str], known: Sequence[str]) -> list[int]:
    """The places of instructions among those that are known. Raises CheckpointError if one is not."""
    for instruction in instructions:
        if instruction not in known:
            raise CheckpointError(
                f"instruction '{instruction}': expected one that there is an embedding of: {choice(known)}; the encoder "
                "of the published weights is not part of this"
            )
    return [known.index(instruction) for instruction in instructions]


def _checked(embeddings: dict[str, Tensor], where: str) -> dict[str, Tensor]:
    shapes = {tuple(embedding.shape) for embedding in embeddings.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise CheckpointError(
            f"{where}: expected an embedding for each instruction, vectors of one size, found the shapes {sorted(shapes)}"
        )
    require_finite(embeddings, where)
    return {instruction: embedding.float() for instruction, embedding in embeddings.items()}
