"""Instructions as vectors: from words, from a file, from a function that the user names."""

from __future__ import annotations

import sys
import types

import pytest
import torch

from vla_core.errors import CheckpointError
from vla_policies.crossformer.language import embed_with, embeddings_from, hashed, read_embeddings, write_embeddings
from vla_policies.errors import MissingInformation
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
    read = read_embeddings(tmp_path / "use.safetensors")
    assert read.keys() == embeddings.keys()
    assert all(torch.equal(read[text], vector) for text, vector in embeddings.items())


@pytest.mark.parametrize(
    ("embeddings", "found"),
    [
        ({"pick": torch.zeros(4), "put": torch.zeros(8)}, r"vectors of one size, found the shapes \[\(4,\), \(8,\)\]"),
        ({"pick": torch.zeros(1, 8)}, r"found the shapes \[\(1, 8\)\]"),
        ({"pick": torch.full((8,), float("nan"))}, "found NaN or infinity in pick"),
        ({}, r"expected an embedding for each instruction, .* found the shapes \[\]"),
    ],
)
def test_a_wrong_file(embeddings, found, tmp_path) -> None:
    write_weights(tmp_path / "use.safetensors", embeddings)
    with pytest.raises(CheckpointError, match=found):
        read_embeddings(tmp_path / "use.safetensors")


@pytest.fixture
def encoders(monkeypatch) -> None:
    module = types.ModuleType("encoders_of_a_test")
    module.total = lambda texts: float(len(texts))  # type: ignore[attr-defined]
    module.lengths = lambda texts: [[float(len(text))] * 3 for text in texts]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "encoders_of_a_test", module)


def test_a_function_that_the_user_names(encoders) -> None:
    embedded = embed_with("encoders_of_a_test:lengths", ["", "ab"])
    assert {text: vector.tolist() for text, vector in embedded.items()} == {"": [0, 0, 0], "ab": [2, 2, 2]}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("encoders_of_a_test.lengths", "expected the name of a function as 'package.module:function'"),
        ("encoders_of_a_test:widths", "cannot be imported"),
        ("no_such_module:f", "cannot be imported"),
        ("encoders_of_a_test:total", r"expected a vector for each of 1 instructions, found the shape \(\)"),
    ],
)
def test_a_function_that_is_none(name, found, encoders) -> None:
    with pytest.raises(CheckpointError, match=found):
        embed_with(name, ["pick"])


def test_where_the_user_says_they_are(encoders, tmp_path) -> None:
    write_embeddings(tmp_path / "use.safetensors", {"pick": torch.ones(4)})
    assert embeddings_from(str(tmp_path / "use.safetensors"))["pick"].tolist() == [1.0] * 4
    (tmp_path / "instructions.txt").write_text("pick\n  put it down \n\npick\n")
    embedded = embeddings_from("encoders_of_a_test:lengths", str(tmp_path / "instructions.txt"))
    assert {text: vector[0].item() for text, vector in embedded.items()} == {"": 0, "pick": 4, "put it down": 11}
    with pytest.raises(MissingInformation, match="expected a text file of instructions"):
        embeddings_from("encoders_of_a_test:lengths")
    with pytest.raises(CheckpointError, match=r"none.txt: cannot be read"):
        embeddings_from("encoders_of_a_test:lengths", str(tmp_path / "none.txt"))
    with pytest.raises(CheckpointError, match=r"none.safetensors: cannot be read"):
        embeddings_from(str(tmp_path / "none.safetensors"))
