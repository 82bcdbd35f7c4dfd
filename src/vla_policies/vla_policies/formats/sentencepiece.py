"""SentencePiece models (``tokenizer.model``, a protocol buffer) that join byte pairs, as Gemma's does: reading and encoding.

Sources: Kudo and Richardson, "SentencePiece" (arXiv 1808.06226), and its file format, ``sentencepiece_model.proto``. Of the
file only numbers and texts are taken; nothing in it is executed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from vla_core.errors import CheckpointError

_SPACE = "\u2581"
_LARGEST_FILE = 64 << 20

# kinds of pieces
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = 1, 2, 3, 4, 5, 6
_BYTE_PAIRS = 2
_KINDS_OF_MODELS = {1: "unigram", _BYTE_PAIRS: "byte pairs", 3: "words", 4: "characters"}

# numbers of fields
_PIECE, _TRAINER, _NORMALISER = 1, 2, 3
_TEXT, _SCORE, _KIND = 1, 2, 3
_MODEL_KIND = 3
_CHARACTER_MAP, _DUMMY_PREFIX, _REMOVE_EXTRA_SPACES, _ESCAPE_SPACES = 2, 3, 4, 5

# how a value is stored
_VARINT, _EIGHT_BYTES, _SIZED, _FOUR_BYTES = 0, 1, 2, 5

Value = int | bytes


@dataclass(frozen=True)
class SentencePiece:
    """A vocabulary that joins neighbours, the pair first whose whole has the highest score.

    Attributes:
        size: how many pieces there are.
        pieces: text to number and score.
        whole: pieces that are never joined to others, and come before all others, the longest first.
        bytes: number of the piece for each byte; empty: there are none.
        unknown: number of the piece for what the vocabulary lacks.
        dummy_prefix: put a space before the text.
        remove_extra_spaces: leave one of several spaces, and none at the ends.
    """

    size: int
    pieces: Mapping[str, tuple[int, float]]
    whole: tuple[str, ...]
    bytes: Mapping[int, int]
    unknown: int
    dummy_prefix: bool
    remove_extra_spaces: bool

    def encode(self, text: str) -> list[int]:
        """Text to numbers of pieces."""
        if self.remove_extra_spaces:
            text = " ".join(part for part in text.split(" ") if part)
        if self.dummy_prefix and text:
            text = " " + text
        tokens: list[int] = []
        for symbol in self._joined(text.replace(" ", _SPACE)):
            if symbol in self.pieces:
                tokens.append(self.pieces[symbol][0])
            elif self.bytes:
                tokens.extend(self.bytes[byte] for byte in symbol.encode())
            else:
                tokens.append(self.unknown)
        return tokens

    def _joined(self, text: str) -> list[str]:
        symbols: list[str] = []
        for part, is_whole in self._parts(text):
            symbols.extend([part] if is_whole else self._join(list(part)))
        return symbols

    def _parts(self, text: str) -> Iterator[tuple[str, bool]]:
        """The text between the pieces that are never joined, and those pieces."""
        begin = end = 0
        while end < len(text):
            found = next((piece for piece in self.whole if text.startswith(piece, end)), None)
            if found is None:
                end += 1
                continue
            if begin < end:
                yield text[begin:end], False
            yield found, True
            begin = end = end + len(found)
        if begin < end:
            yield text[begin:end], False

    def _join(self, symbols: list[str]) -> list[str]:
        while len(symbols) > 1:
            pairs = [first + second for first, second in pairwise(symbols)]
            known = [index for index, pair in enumerate(pairs) if pair in self.pieces]
            if not known:
                break
            best = max(known, key=lambda index: (self.pieces[pairs[index]][1], -index))
            symbols[best : best + 2] = [pairs[best]]
        return symbols


def read_sentencepiece(path: Path) -> SentencePiece:
    """Reads a model.

    Raises:
        CheckpointError: it cannot be read, is damaged, or is one of another kind.
    """
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise CheckpointError(
                f"{path}: expected a SentencePiece model, found a file of {path.stat().st_size} bytes"
            )
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from error
    try:
        return _model(data, path)
    except (ValueError, struct.error) as error:
        raise CheckpointError(
            f"{path}: expected a SentencePiece model, found another or a damaged file: {error}"
        ) from error


def _model(data: bytes, path: Path) -> SentencePiece:
    pieces: list[tuple[str, float, int]] = []
    trainer: dict[int, Value] = {}
    normaliser: dict[int, Value] = {}
    for field, value in _fields(data):
        if field == _PIECE:
            pieces.append(_piece(dict(_fields(_sized(value)))))
        elif field == _TRAINER:
            trainer = dict(_fields(_sized(value)))
        elif field == _NORMALISER:
            normaliser = dict(_fields(_sized(value)))
    if not pieces:
        raise ValueError("it has no pieces")
    _require_supported(trainer, normaliser, pieces, path)
    numbered = list(enumerate(pieces))
    joined = {text: (number, score) for number, (text, score, kind) in numbered if kind in (_NORMAL, _USER_DEFINED)}
    whole = sorted((text for text, _, kind in pieces if kind == _USER_DEFINED and text), key=len, reverse=True)
    of_bytes = {int(text[1:-1], 16): number for number, (text, _, kind) in numbered if kind == _BYTE}
    if of_bytes and len(of_bytes) != 256:
        raise ValueError(f"expected a piece for each of 256 bytes, found {len(of_bytes)}")
    return SentencePiece(
        size=len(pieces),
        pieces=joined,
        whole=tuple(whole),
        bytes=of_bytes,
        unknown=next((number for number, (_, _, kind) in numbered if kind == _UNKNOWN), 0),
        dummy_prefix=bool(normaliser.get(_DUMMY_PREFIX, 1)),
        remove_extra_spaces=bool(normaliser.get(_REMOVE_EXTRA_SPACES, 1)),
    )


def _piece(fields: Mapping[int, Value]) -> tuple[str, float, int]:
    score, kind = fields.get(_SCORE, b"\0\0\0\0"), fields.get(_KIND, _NORMAL)
    if not isinstance(score, bytes) or not isinstance(kind, int):
        raise ValueError("a piece whose score or kind is not a number")
    return _sized(fields.get(_TEXT, b"")).decode(), float(struct.unpack("<f", score)[0]), kind


def _require_supported(
    trainer: Mapping[int, Value], normaliser: Mapping[int, Value], pieces: list[tuple[str, float, int]], path: Path
) -> None:
    kind = trainer.get(_MODEL_KIND, 1)
    if kind != _BYTE_PAIRS:
        found = _KINDS_OF_MODELS.get(kind, "another kind") if isinstance(kind, int) else "another kind"
        raise CheckpointError(
            f"{path}: expected a SentencePiece model of byte pairs, as Gemma's is, found one of {found}"
        )
    if normaliser.get(_CHARACTER_MAP, b""):
        raise CheckpointError(
            f"{path}: expected a model that leaves characters as they are, found one that replaces some"
        )
    if not normaliser.get(_ESCAPE_SPACES, 1) or any(kind == _UNUSED for _, _, kind in pieces):
        raise CheckpointError(f"{path}: expected a model that escapes spaces and uses all its pieces, found another")


def _fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """Numbers and values of the fields of a message."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        stored = key & 7
        if stored == _VARINT:
            number, place = _varint(data, place)
            yield key >> 3, number
            continue
        if stored == _SIZED:
            size, place = _varint(data, place)
        elif stored in (_EIGHT_BYTES, _FOUR_BYTES):
            size = 8 if stored == _EIGHT_BYTES else 4
        else:
            raise ValueError(f"a value of kind {stored} at byte {place}")
        if place + size > len(data):
            raise ValueError(f"{size} bytes announced at byte {place} of {len(data)}")
        yield key >> 3, data[place : place + size]
        place += size


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """A whole number in groups of seven bits, and where it ends."""
    number = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            raise ValueError(f"ends within a number, at byte {place}")
        number |= (data[place] & 0x7F) << shift
        place += 1
        if data[place - 1] < 0x80:
            return number, place
    raise ValueError(f"a number of more than 64 bits at byte {place}")


def _sized(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a number where bytes are expected")
    return value
