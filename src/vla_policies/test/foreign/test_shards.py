"""Weights in several files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from vla_core.errors import CheckpointError
from vla_policies.formats.shards import INDEX_FILE, WHOLE_FILE, read_shards
from vla_policies.weights import write_weights

WEIGHTS = {"a": torch.arange(3.0), "b": torch.ones(2, 2), "c": torch.zeros(1)}
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
INDEX = {"a": FIRST, "b": SECOND, "c": FIRST}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for file in (FIRST, SECOND):
        write_weights(tmp_path / file, {name: WEIGHTS[name] for name, where in INDEX.items() if where == file})
    (tmp_path / INDEX_FILE).write_text(json.dumps({"metadata": {}, "weight_map": INDEX}))
    return tmp_path


def test_all_shards_are_read(folder) -> None:
    found = read_shards(folder)
    assert found.keys() == WEIGHTS.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in WEIGHTS.items())


def test_one_file_is_enough(tmp_path) -> None:
    write_weights(tmp_path / WHOLE_FILE, WEIGHTS)
    assert read_shards(tmp_path).keys() == WEIGHTS.keys()


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "expected a JSON object, found a list"),
        ("{}", "weight_map: expected names of tensors and their files, found None"),
        (
            json.dumps({"weight_map": {"a": "../elsewhere.safetensors"}}),
            "expected files of this folder, found '../else",
        ),
        (json.dumps({"weight_map": {"a": 3}}), "expected files of this folder, found 3"),
        (json.dumps({"weight_map": {"a": "model-3.safetensors"}}), "model-3.safetensors: cannot be read"),
        (json.dumps({"weight_map": {**INDEX, "d": SECOND}}), r"missing \['d'\], unexpected \[\]"),
        (json.dumps({"weight_map": {"a": FIRST}}), r"missing \[\], unexpected \['c'\]"),
    ],
)
def test_a_wrong_index_is_refused(folder, index, message) -> None:
    (folder / INDEX_FILE).write_text(index)
    with pytest.raises(CheckpointError, match=message):
        read_shards(folder)


def test_a_truncated_shard_is_refused(folder) -> None:
    whole = (folder / SECOND).read_bytes()
    (folder / SECOND).write_bytes(whole[:-4])
    with pytest.raises(CheckpointError, match="expected a whole safetensors file"):
        read_shards(folder)


def test_an_empty_folder_is_refused(tmp_path) -> None:
    with pytest.raises(
        CheckpointError, match=r"expected model.safetensors or model.safetensors.index.json, found \[\]"
    ):
        read_shards(tmp_path)
