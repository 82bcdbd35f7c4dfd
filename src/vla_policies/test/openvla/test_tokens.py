"""Prompts as tokens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vla_core.errors import CheckpointError
from vla_policies.openvla.config import PROMPT
from vla_policies.openvla.llama_tokenizer import read_tokenizer
from vla_policies.openvla.tokens import BOS, PAD, byte_tokens, prompt_tokens

BYTES = {f"<0x{byte:02X}>": 3 + byte for byte in range(256)}
SYMBOLS = ["▁", "a", "b", "c", "ab", "▁ab", "abc", "bc", "▁▁"]
VOCABULARY = {**BYTES, **{symbol: 300 + index for index, symbol in enumerate(SYMBOLS)}}
MERGES = ["a b", "▁ ab", "b c", "ab c", "▁ ▁"]


def write(path: Path, **changes: object) -> Path:
    model = {"type": "BPE", "byte_fallback": True, "vocab": VOCABULARY, "merges": MERGES, **changes}
    path.write_text(json.dumps({"version": "1.0", "model": model}))
    return path


def test_bytes_have_the_ids_of_llamas_bytes() -> None:
    assert byte_tokens("aé") == [BYTES["<0x61>"], BYTES["<0xC3>"], BYTES["<0xA9>"]]


def test_prompts_end_with_the_space_and_are_padded_behind_bos() -> None:
    ids, there = prompt_tokens(["Pick UP", "go"], PROMPT, 29871)
    assert there is not None
    text = bytes(token - 3 for token in ids[1, there[1]][1:-1].tolist()).decode()
    assert text == "In: What action should the robot take to go?\nOut:"
    assert ids[:, 0].tolist() == [BOS, BOS]
    assert ids[:, -1].tolist() == [29871, 29871]
    assert ids[1, 1:6].tolist() == [PAD] * 5
    assert there.sum(dim=1).tolist() == [len(ids[0]), len(ids[0]) - 5]
    assert bytes(token - 3 for token in ids[0, 1:-1].tolist()).endswith(b"take to pick up?\nOut:")


def test_a_prompt_that_ends_with_the_space_gets_no_other() -> None:
    ids, there = prompt_tokens(["a"], "{task} ", 35)
    assert there is None
    assert ids.tolist() == [[BOS, *byte_tokens("a ")]]


@pytest.mark.parametrize("merges", [MERGES, [merge.split(" ") for merge in MERGES]])
def test_pairs_are_merged_by_rank(merges, tmp_path) -> None:
    tokenizer = read_tokenizer(write(tmp_path / "tokenizer.json", merges=merges))
    symbols = {number: symbol for symbol, number in VOCABULARY.items()}
    # "ab" ranks before "bc", and "▁ab" before "abc"
    assert [symbols[token] for token in tokenizer("abc")] == ["▁ab", "c"]
    assert [symbols[token] for token in tokenizer("cabc bc")] == ["▁", "c", "abc", "▁", "bc"]
    assert [symbols[token] for token in tokenizer("a\n\u00e9")] == ["▁", "a", "<0x0A>", "<0xC3>", "<0xA9>"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"type": "Unigram"}, "expected byte-pair encoding"),
        ({"vocab": {"a": 1}}, "expected a token for every byte"),
        ({"merges": ["a b c"]}, "expected pairs of symbols"),
        ({"merges": ["c c"]}, "expected a number for every symbol, found none for"),
        ({"merges": [3]}, "expected pairs of symbols"),
    ],
)
def test_other_tokenizers_are_refused(changes, message, tmp_path) -> None:
    with pytest.raises(CheckpointError, match=message):
        read_tokenizer(write(tmp_path / "tokenizer.json", **changes))


def test_files_that_are_no_tokenizer_are_refused(tmp_path) -> None:
    for content, message in (("{", "is not JSON"), ("[]", "expected a JSON object"), ("{}", "with the key 'model'")):
        (tmp_path / "tokenizer.json").write_text(content)
        with pytest.raises(CheckpointError, match=message):
            read_tokenizer(tmp_path / "tokenizer.json")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_tokenizer(tmp_path / "none.json")
