"""Qwen's tokenizer: the text is split into words, the bytes of each are joined to the pairs of a vocabulary.

Source: Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units" (arXiv 1508.07909), over bytes as in GPT-2:
each byte is written as a printable character. Reads ``tokenizer.json``, or ``vocab.json`` with ``merges.txt`` and
``added_tokens.json``.
"""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from vla_core.errors import CheckpointError
from vla_policies.openvla.llama_tokenizer import merge_pairs

_LARGEST_FILE = 64 << 20


@dataclass(frozen=True)
class QwenTokenizer:
    """Text to token numbers.

    Attributes:
        vocabulary: symbols, in printable characters for bytes, to numbers.
        ranks: pairs of symbols to the order in which they are joined.
        special: texts that are one token as a whole, to numbers.
    """

    vocabulary: Mapping[str, int]
    ranks: Mapping[tuple[str, str], int]
    special: Mapping[str, int]

    def __call__(self, text: str) -> list[int]:
        """Token numbers. Special tokens are recognised wherever they stand."""
        pattern = "|".join(re.escape(token) for token in sorted(self.special, key=len, reverse=True))
        parts = re.split(f"({pattern})", text) if pattern else [text]
        numbers: list[int] = []
        for part in parts:
            if part in self.special:
                numbers.append(self.special[part])
            else:
                for word in _word_pattern().findall(unicodedata.normalize("NFC", part)):
                    numbers += self._word(word)
        return numbers

    def _word(self, word: str) -> list[int]:
        symbols = [_byte_characters()[byte] for byte in word.encode()]
        return [self.vocabulary[symbol] for symbol in merge_pairs(symbols, self.ranks)]


@lru_cache(maxsize=2)
def read_tokenizer(path: str) -> Callable[[str], list[int]]:
    """Reads a tokenizer.

    Args:
        path: of ``tokenizer.json``, or of a folder with it, or with ``vocab.json``, ``merges.txt`` and ``added_tokens.json``.

    Raises:
        CheckpointError: a file is missing or is not that of such a tokenizer.
    """
    place = Path(path)
    if place.is_dir() and (place / "vocab.json").is_file():
        vocabulary: Any = _json(place / "vocab.json")
        special = _json(place / "added_tokens.json")
        lines = _text(place / "merges.txt").splitlines()
        merges: Any = [line for line in lines if line and not line.startswith("#version")]
    else:
        place = place / "tokenizer.json" if place.is_dir() else place
        data = _json(place)
        model = data.get("model")
        vocabulary, merges = (model.get("vocab"), model.get("merges")) if isinstance(model, dict) else (None, None)
        special = {token["content"]: token["id"] for token in data.get("added_tokens", ()) if isinstance(token, dict)}
    if not isinstance(vocabulary, dict) or not isinstance(merges, list):
        raise CheckpointError(f"{place}: expected byte-pair encoding with vocab and merges, found neither")
    missing = [byte for byte, character in enumerate(_byte_characters()) if character not in vocabulary]
    if missing:
        raise CheckpointError(
            f"{place}: expected a token for every byte, as Qwen has them, found none for {missing[0]}"
        )
    pairs = [tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge) for merge in merges]
    wrong = next((pair for pair in pairs if len(pair) != 2 or "".join(pair) not in vocabulary), None)
    if wrong is not None:
        raise CheckpointError(f"{place}: merges: expected pairs that join to a token of the vocabulary, found {wrong}")
    ranks = {(pair[0], pair[1]): rank for rank, pair in enumerate(pairs)}
    return QwenTokenizer(vocabulary, ranks, special)


@cache
def _byte_characters() -> tuple[str, ...]:
    """A printable character for each byte: itself where it is one, the others in turn from U+0100 on (GPT-2)."""
    printable = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return tuple(chr(byte) if byte in printable else chr(next(others)) for byte in range(256))


@cache
def _word_pattern() -> re.Pattern[str]:
    """What Qwen takes for words: English endings, letters with what stands before them, single digits, signs, spaces."""
    letter, number = _of_category("L"), _of_category("N")
    return re.compile(
        rf"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
        rf"|[^\r\n{letter}{number}]?[{letter}]+"
        rf"|[{number}]"
        rf"| ?[^\s{letter}{number}]+[\r\n]*"
        rf"|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


def _of_category(major: str) -> str:
    """The characters of a major category of Unicode, as ranges for a set of a regular expression."""
    ranges: list[list[int]] = []
    for code in range(sys.maxunicode + 1):
        if unicodedata.category(chr(code))[0] == major:
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(f"{re.escape(chr(first))}-{re.escape(chr(last))}" for first, last in ranges)


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path}: expected a JSON object, found a {type(data).__name__}")
    return data


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise CheckpointError(f"{path}: expected a tokenizer's file, found one of {path.stat().st_size} bytes")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path}: is not text in UTF-8: {error}") from error
