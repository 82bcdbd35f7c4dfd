"""Llama's tokenizer, from the ``tokenizer.json`` that comes with its weights: byte-pair encoding of the text as a whole.

Source: Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units" (arXiv 1508.07909), algorithm 1; spaces
are written as U+2581, one is put before the text, and a character that the vocabulary lacks becomes its bytes in UTF-8.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from vla_core.errors import CheckpointError
from vla_policies.formats.json_file import read_json
from vla_policies.openvla.tokens import Tokenizer

_SPACE = "\u2581"


def read_tokenizer(path: Path) -> Tokenizer:
    """Reads a ``tokenizer.json``.

    Returns:
        A function from a text to token ids, without BOS.

    Raises:
        CheckpointError: the file cannot be read, or is not of that kind of tokenizer.
    """
    model = _read_model(path)
    vocabulary, merges = model.get("vocab"), model.get("merges")
    if model.get("type", "BPE") != "BPE" or not isinstance(vocabulary, dict) or not isinstance(merges, list):
        raise CheckpointError(f"{path}: expected byte-pair encoding with vocab and merges, found {sorted(model)}")
    missing = [f"<0x{byte:02X}>" for byte in range(256) if f"<0x{byte:02X}>" not in vocabulary]
    if missing:
        raise CheckpointError(
            f"{path}: expected a token for every byte, as Llama 2 has them, found none for {missing[0]}"
        )
    ranks = {_pair(merge, path): rank for rank, merge in enumerate(merges)}
    unknown = ["".join(pair) for pair in ranks if "".join(pair) not in vocabulary]
    if unknown or not all(isinstance(number, int) for number in vocabulary.values()):
        raise CheckpointError(f"{path}: expected a number for every symbol, found none for {unknown[:1] or 'some'}")
    return lambda text: [vocabulary[symbol] for symbol in merge_pairs(_symbols(text, vocabulary), ranks)]


def _read_model(path: Path) -> Mapping[str, Any]:
    model = read_json(path).get("model")
    if not isinstance(model, dict):
        raise CheckpointError(f"{path}: expected a tokenizer.json with the key 'model', found none")
    return model


def _pair(merge: object, path: Path) -> tuple[str, str]:
    parts = merge.split(" ") if isinstance(merge, str) else merge
    if not isinstance(parts, list) or len(parts) != 2 or not all(isinstance(part, str) for part in parts):
        raise CheckpointError(f"{path}: merges: expected pairs of symbols, found {merge!r}")
    return parts[0], parts[1]


def _symbols(text: str, vocabulary: Mapping[str, int]) -> list[str]:
    symbols: list[str] = []
    for character in _SPACE + text.replace(" ", _SPACE):
        if character in vocabulary:
            symbols.append(character)
        else:
            symbols.extend(f"<0x{byte:02X}>" for byte in character.encode())
    return symbols


def merge_pairs(symbols: list[str], ranks: Mapping[tuple[str, str], int]) -> list[str]:
    """Joins neighbours, the pair of the lowest rank first and from left to right, until none is left that has a rank."""
    while len(symbols) > 1:
        best = min(pairwise(symbols), key=lambda pair: ranks.get(pair, len(ranks)))
        if best not in ranks:
            break
        place = next(index for index, pair in enumerate(pairwise(symbols)) if pair == best)
        symbols[place : place + 2] = ["".join(best)]
    return symbols
