"""Small SentencePiece models, written byte by byte."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
BYTE_PAIRS, UNIGRAM = 2, 1


def varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def number_field(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def sized_field(field: int, value: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(value)) + value


def piece(text: str, score: float = 0.0, kind: int = NORMAL) -> bytes:
    data = sized_field(1, text.encode()) + varint(2 << 3 | 5) + struct.pack("<f", score) + number_field(3, kind)
    return sized_field(1, data)


def model(
    pieces: Sequence[bytes],
    kind: int = BYTE_PAIRS,
    dummy_prefix: bool = False,
    remove_extra_spaces: bool = False,
    characters: bytes = b"",
) -> bytes:
    normaliser = sized_field(1, b"identity") + sized_field(2, characters) + number_field(3, dummy_prefix)
    normaliser += number_field(4, remove_extra_spaces)
    return b"".join(pieces) + sized_field(2, number_field(3, kind)) + sized_field(3, normaliser)


SPECIAL = (
    *(piece("<pad>", kind=CONTROL), piece("<eos>", kind=CONTROL), piece("<bos>", kind=CONTROL)),
    piece("<unk>", kind=UNKNOWN),
)
BYTES = tuple(piece(f"<0x{byte:02X}>", kind=BYTE) for byte in range(256))


def write_tokenizer(path: Path, merges: Sequence[str] = ("pi", "ck", "pick")) -> Path:
    """As PaliGemma's: bytes for what is unknown, an end of line that is never joined, no space before the text."""
    joined = [piece(text, -float(rank)) for rank, text in enumerate(merges)]
    letters = [piece(letter, -1000.0) for letter in "pick\u2581"]
    path.write_bytes(model([*SPECIAL, *BYTES, piece("\n", kind=USER_DEFINED), *joined, *letters]))
    return path
