"""Instructions as vectors: from words, from a file, from a function that the user names."""

from __future__ import annotations

import sys
import types

import pytest
import torch

from vla_core.errors import CheckpointError
from vla_policies.crossformer.language import embed_with, hashed, read_embeddings, write_embeddings
from vla_policies.weights import write_weights


def test_hashed_instructions_are_alike_where_their_words_are() -> None:
    red, blue, other = (hashed(text, 64) for text in ("pick the red cube", "pick the blue cube", "open a drawer"))
    for vector in (red, blue, other, hashed("", 64), hashed("?!", 61)):
        assert vector.norm().item() == pytest.approx(1.0, abs=1e-6)
    assert red @ blue > 0.2 + red @ other
    assert not torch.equal(hashed("put the cube on the box", 64), hashed("put the box on the cube", 64))


def test_hashed_instructions_are_the_same_everywhere() -> None:
    signs = "".join("+" if value > 0 else "-" for value in hashed("", 16))
    assert signs == "-+---++-+-+++--+"  # SHAKE-256 of nothing begins with the bytes 0x46 and 0xb9, as NIST publishes


def test_a_file_of_embeddings_comes_back(tmp_path) -> None:
    embeddings = {"": torch.zeros(8), "pick the cube": torch.arange(8.0), "greife den Würfel": torch.ones(8)}
    write_embeddings(tmp_path / "use.safetensors", embeddings)
    read = read_embeddings(tmp_path / "use.safetensors", 8)
    assert read.keys() == embeddings.keys()
    assert all(torch.equal(read[text], vector) for text, vector in embeddings.items())


@pytest.mark.parametrize(
    ("embeddings", "found"),
    [
        ({"pick": torch.zeros(4)}, r"instruction 'pick': expected an embedding of 8 numbers, found the shape \(4,\)"),
        ({"pick": torch.zeros(1, 8)}, r"found the shape \(1, 8\)"),
        ({"pick": torch.full((8,), float("nan"))}, "found NaN or infinity in pick"),
        ({}, "expected at least one instruction with its embedding, found none"),
    ],
)
def test_a_wrong_file(embeddings, found, tmp_path) -> None:
    write_weights(tmp_path / "use.safetensors", embeddings)
    with pytest.raises(CheckpointError, match=found):
        read_embeddings(tmp_path / "use.safetensors", 8)


@pytest.fixture
def encoders(monkeypatch) -> None:
    module = types.ModuleType("encoders_of_a_test")
    module.lengths = lambda texts: [[float(len(text))] * 3 for text in texts]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "encoders_of_a_test", module)


def test_a_function_that_the_user_names(encoders) -> None:
    embedded = embed_with("encoders_of_a_test:lengths", ["", "ab"], 3)
    assert {text: vector.tolist() for text, vector in embedded.items()} == {"": [0, 0, 0], "ab": [2, 2, 2]}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("encoders_of_a_test.lengths", "expected the name of a function as 'package.module:function'"),
        ("encoders_of_a_test:widths", "cannot be imported"),
        ("no_such_module:f", "cannot be imported"),
        ("encoders_of_a_test:lengths", r"expected \(1, 512\) numbers for 1 instructions, found \(1, 3\)"),
    ],
)
def test_a_function_that_is_none(name, found, encoders) -> None:
    with pytest.raises(CheckpointError, match=found):
        embed_with(name, ["pick"], 512)
