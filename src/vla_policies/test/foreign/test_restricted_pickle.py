"""The pickle of statistics is read as numpy reads it, and nothing that it names is executed."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from vla_core.errors import CheckpointError
from vla_policies.formats.restricted_pickle import read_arrays


@pytest.mark.parametrize("protocol", range(3, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool", ">f8"])
def test_pickled_arrays_are_read_as_numpy_reads_them(protocol, dtype, tmp_path) -> None:
    data = {
        "vector": np.arange(6).astype(dtype),
        "matrix": np.arange(6).reshape(2, 3).astype(dtype),
        "columns": np.asfortranarray(np.arange(6).reshape(2, 3).astype(dtype)),
        "number": np.arange(6).astype(dtype)[3],
        "empty": np.zeros((0, 3), dtype),
    }
    path = tmp_path / "stats.pkl"
    path.write_bytes(pickle.dumps(data, protocol=protocol))
    read = read_arrays(path)
    assert read.keys() == data.keys()
    for name, expected in data.items():
        np.testing.assert_array_equal(read[name], expected)
        assert read[name].dtype == np.asarray(expected).dtype


def test_a_hostile_pickle_is_refused_and_not_executed(tmp_path, foreign_stats, hostile) -> None:
    path = tmp_path / "stats.pkl"
    path.write_bytes(pickle.dumps({**foreign_stats, "evil": hostile}))
    with pytest.raises(CheckpointError, match=r"expected only numpy arrays of numbers, found the name '\w+.system'"):
        read_arrays(path)


# its eight bytes would be taken for a pointer
FORGED_DTYPE = pickle.dumps({"action_mean": np.array([1.0])}, protocol=4).replace(b"f8", b"O8")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps({"a": np.array([None], dtype=object)}), "found the dtype 'O8'"),
        (pickle.dumps({"a": np.zeros(2, dtype=[("x", "f8")])}), "found the dtype 'V8'"),
        (FORGED_DTYPE, "found the dtype 'O8'"),
        (pickle.dumps({"a": {"b": np.zeros(2)}}), "expected names with arrays, found 'a' with a dict"),
        (pickle.dumps([np.zeros(2)]), "expected a dictionary, found a list"),
        (pickle.dumps({"a": np.zeros(20)})[:-40], "expected a whole pickle of numpy arrays"),
        (b"", "expected a whole pickle of numpy arrays"),
        (b"not a pickle", "expected a whole pickle of numpy arrays"),
    ],
)
def test_what_is_no_dictionary_of_arrays_is_refused(content, message, tmp_path) -> None:
    path = tmp_path / "stats.pkl"
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        read_arrays(path)
    assert message in str(caught.value)


def test_an_array_of_another_size_than_its_bytes_is_refused(tmp_path) -> None:
    path = tmp_path / "stats.pkl"
    whole = pickle.dumps({"a": np.zeros(3)}, protocol=4)
    path.write_bytes(whole.replace(b"K\x03\x85", b"K\x09\x85"))
    with pytest.raises(CheckpointError, match=r"found 24 bytes for an array of the shape \(9,\)"):
        read_arrays(path)
