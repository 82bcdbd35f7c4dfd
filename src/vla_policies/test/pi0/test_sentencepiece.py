"""SentencePiece models are read, join what they should, and refused if they are something else."""

from __future__ import annotations

import pytest
from sentencepiece_files import (
    BYTE,
    BYTES,
    CONTROL,
    SPECIAL,
    UNIGRAM,
    UNUSED,
    USER_DEFINED,
    model,
    piece,
    sized_field,
    varint,
    write_tokenizer,
)

from vla_core.errors import CheckpointError
from vla_policies.formats.sentencepiece import SentencePiece, read_sentencepiece

FIRST = 4 + 256  # after the special pieces and the bytes


def read(tmp_path, data: bytes) -> SentencePiece:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(data)
    return read_sentencepiece(path)


def test_neighbours_are_joined_the_best_pair_first(tmp_path) -> None:
    tokens = read_sentencepiece(write_tokenizer(tmp_path / "tokenizer.model"))
    line_end, pi, ck, pick, p, i, c, k, space = range(FIRST, FIRST + 9)
    assert tokens.encode("pick") == [pick]
    assert tokens.encode("pic kpi") == [pi, c, space, k, pi]
    assert tokens.encode("ckick p") == [ck, i, ck, space, p]
    assert tokens.encode("pi\nck") == [pi, line_end, ck]
    assert tokens.encode("") == []
    assert tokens.encode("é") == [4 + 0xC3, 4 + 0xA9]  # bytes


def test_of_equally_good_pairs_the_first_is_joined(tmp_path) -> None:
    pieces = [*SPECIAL, piece("aa", -1.0), piece("a", -5.0)]
    assert read(tmp_path, model(pieces)).encode("aaa") == [4, 5]


def test_the_score_decides_and_not_the_order_of_the_file(tmp_path) -> None:
    pieces = [*SPECIAL, piece("ab", -9.0), piece("bc", -1.0), *(piece(letter, -20.0) for letter in "abc")]
    assert read(tmp_path, model(pieces)).encode("abc") == [6, 5]


def test_what_is_defined_by_the_user_is_never_joined_and_the_longest_comes_first(tmp_path) -> None:
    whole = [piece(text, kind=USER_DEFINED) for text in ("<a>", "<a><a>")]
    pieces = [*SPECIAL, *whole, piece("b<a>", -1.0), piece("b", -5.0)]
    assert read(tmp_path, model(pieces)).encode("b<a><a><a>") == [7, 5, 4]


def test_spaces_as_the_file_says(tmp_path) -> None:
    pieces = [*SPECIAL, piece("\u2581", -1.0), piece("a", -1.0)]
    assert read(tmp_path, model(pieces)).encode(" a  a") == [4, 5, 4, 4, 5]
    assert read(tmp_path, model(pieces, dummy_prefix=True, remove_extra_spaces=True)).encode(" a  a ") == [4, 5, 4, 5]


def test_what_is_unknown_without_bytes(tmp_path) -> None:
    assert read(tmp_path, model([*SPECIAL, piece("a")])).encode("aé") == [4, 3]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            model([*SPECIAL, piece("a")], kind=UNIGRAM),
            "expected a SentencePiece model of byte pairs.*found one of unigram",
        ),
        (model([*SPECIAL, piece("a")], characters=b"map"), "leaves characters as they are"),
        (model([*SPECIAL, piece("a", kind=UNUSED)]), "uses all its pieces"),
        (model([*SPECIAL, *BYTES[:9]]), "a piece for each of 256 bytes, found 9"),
        (b"", "it has no pieces"),
        (model([*SPECIAL, *BYTES])[:1003], "(bytes announced at|ends within a number, at) byte"),
        (sized_field(1, b"a")[:1] + varint(1 << 60), "bytes announced at byte"),
        (b"\x80" * 20, "more than 64 bits"),
        (b"\x80", "ends within a number"),
        (b"\x0b", "a value of kind 3"),
        (b"\x08\x01", "a number where bytes are expected"),
        (model([piece("<0xZZ>", kind=BYTE)]), "damaged file"),
        (sized_field(1, sized_field(1, b"\xff")), "damaged file"),
        (b'{"model": {}}', "damaged file"),
    ],
)
def test_what_is_no_such_model_is_refused(data, message, tmp_path) -> None:
    with pytest.raises(CheckpointError, match=message):
        read(tmp_path, data)


def test_a_control_piece_is_not_text(tmp_path) -> None:
    pieces = [*SPECIAL, piece("<x>", kind=CONTROL), *(piece(letter) for letter in "<x>")]
    assert read(tmp_path, model(pieces)).encode("<x>") == [5, 6, 7]


def test_a_missing_and_a_huge_file(tmp_path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_sentencepiece(tmp_path / "nowhere")
    with open(tmp_path / "huge", "wb") as file:
        file.truncate(65 << 20)
    with pytest.raises(CheckpointError, match="found a file of 68157440 bytes"):
        read_sentencepiece(tmp_path / "huge")
