"""Qwen's tokenizer, on small vocabularies made here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vla_core.errors import CheckpointError
from vla_policies.groot.prompts import conversation, padded
from vla_policies.groot.qwen_tokenizer import _byte_characters, _word_pattern, read_tokenizer

SPECIAL = {"<|im_start|>": 300, "<IMG_CONTEXT>": 301}
MERGES = ["t h", "th e", "\u0120 the", "e r"]


def vocabulary() -> dict[str, int]:
    table = {character: byte for byte, character in enumerate(_byte_characters())}
    return table | {merge.replace(" ", ""): 256 + index for index, merge in enumerate(MERGES)}


def tokenizer_json(**model: Any) -> str:
    model = {"type": "BPE", "vocab": vocabulary(), "merges": MERGES, **model}
    added = [{"id": number, "content": token, "special": True} for token, number in SPECIAL.items()]
    return json.dumps({"model": model, "added_tokens": added})


@pytest.fixture(params=["one file", "a folder with it", "several files"])
def path(request, tmp_path: Path) -> str:
    if request.param == "several files":
        (tmp_path / "vocab.json").write_text(json.dumps(vocabulary()))
        (tmp_path / "merges.txt").write_text("\n".join(["#version: 0.2", *MERGES, ""]), encoding="utf-8")
        (tmp_path / "added_tokens.json").write_text(json.dumps(SPECIAL))
        return str(tmp_path)
    (tmp_path / "tokenizer.json").write_text(tokenizer_json())
    return str(tmp_path if request.param == "a folder with it" else tmp_path / "tokenizer.json")


def test_pairs_are_joined_in_their_order(path) -> None:
    encode = read_tokenizer(path)
    assert encode("the there") == [257, 258, ord("r"), ord("e")]  # the e is taken before "er" has its turn
    assert encode("water") == [ord("w"), ord("a"), ord("t"), 259]


def test_special_tokens_are_one_token_wherever_they_stand(path) -> None:
    assert read_tokenizer(path)("a<|im_start|>b<IMG_CONTEXT><IMG_CONTEXT>") == [ord("a"), 300, ord("b"), 301, 301]


def test_every_text_has_tokens(path) -> None:
    numbers = read_tokenizer(path)("Grüße, 世界!\n\t")
    assert bytes(number for number in numbers) == "Grüße, 世界!\n\t".encode()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Pick up the cube.", ["Pick", " up", " the", " cube", "."]),
        ("['pick 12 cubes']", ["['", "pick", " ", "1", "2", " cubes", "']"]),
        ("it's Bob's", ["it", "'s", " Bob", "'s"]),
        ("a  b\n\n c", ["a", " ", " b", "\n\n", " c"]),
        ("user\n<image 1>", ["user", "\n", "<image", " ", "1", ">"]),
        ("système ²x", ["système", " ", "²", "x"]),
        ("end  ", ["end", "  "]),
        ("foo_bar", ["foo", "_bar"]),
    ],
)
def test_words(text, words) -> None:
    assert _word_pattern().findall(text) == words


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "expected a JSON object"),
        ("{}", "expected byte-pair encoding with vocab and merges, found neither"),
        (tokenizer_json(vocab={"a": 1}), "expected a token for every byte"),
        (tokenizer_json(merges=["a b c"]), "expected pairs that join to a token"),
        (tokenizer_json(merges=["x y"]), "expected pairs that join to a token"),
    ],
)
def test_other_files_are_refused(text, message, tmp_path) -> None:
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(CheckpointError, match=message):
        read_tokenizer(str(tmp_path))


def test_a_missing_file_is_named(tmp_path) -> None:
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: cannot be read"):
        read_tokenizer(str(tmp_path))


def test_the_conversation_has_the_images_before_the_instruction() -> None:
    assert conversation("pick it", images=2, tokens_per_image=2, as_list=True) == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\n"
        "<image 1><img><IMG_CONTEXT><IMG_CONTEXT></img><image 2><img><IMG_CONTEXT><IMG_CONTEXT></img>"
        "['pick it']<|im_end|>\n<|im_start|>assistant\n"
    )


def test_padding_stands_in_front() -> None:
    tokens, mask = padded([[1, 2, 3], [4]], padding=9)
    assert tokens.tolist() == [[1, 2, 3], [9, 9, 4]]
    assert mask.tolist() == [[True, True, True], [False, False, True]]
