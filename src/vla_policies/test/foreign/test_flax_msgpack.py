"""flax's msgpack files: what they hold comes back, and what is damaged or hostile is refused with what was found."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from flax_files import packed, packed_array, tree_of
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_core.errors import CheckpointError
from vla_policies.formats.flax_msgpack import read_arrays, read_tree


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "checkpoint"


def test_arrays_come_back_by_their_paths(file) -> None:
    rng = np.random.default_rng(0)
    arrays: dict[str, object] = {
        "a/kernel": rng.standard_normal((2, 3, 4)).astype(np.float32),
        "a/b/bias": rng.standard_normal(5),
        "half": rng.standard_normal(3).astype(np.float16),
        "count": np.array(7, dtype=np.int64),
        "mask": np.array([True, False]),
        "empty": np.zeros((0, 3), dtype=np.float32),
    }
    file.write_bytes(packed(tree_of(arrays)))
    read = read_arrays(file)
    assert set(read) == set(arrays)
    for path, array in arrays.items():
        assert torch.equal(read[path], torch.from_numpy(np.asarray(array))), path


def test_every_form_of_every_kind(file) -> None:
    forms = {
        "numbers": b"\x9c\x05\xff\xcc\xfe\xcd\x01\x00\xce\x00\x01\x00\x00\xcf" + (2**40).to_bytes(8, "big")
        + b"\xd0\x80\xd1\xff\x00\xd2\xff\xff\xff\x00\xd3" + (-(2**40)).to_bytes(8, "big", signed=True)
        + b"\xca" + struct.pack(">f", 0.5) + b"\xcb" + struct.pack(">d", 0.1),
        "constants": b"\x93\xc0\xc2\xc3",
        "texts": b"\x94\xa2ab\xd9\x01c\xda\x00\x01d\xdb\x00\x00\x00\x01e",
        "bytes": b"\x93\xc4\x01x\xc5\x00\x01y\xc6\x00\x00\x00\x01z",
        "lists": b"\x92\xdc\x00\x01\x01\xdd\x00\x00\x00\x01\x02",
        "maps": b"\x92\xde\x00\x01\xa1k\x01\xdf\x00\x00\x00\x01\xa1k\x02",
    }  # fmt: skip
    file.write_bytes(b"\x86" + b"".join(packed(name) + form for name, form in forms.items()))
    assert read_tree(file) == {
        "numbers": [5, -1, 254, 256, 65536, 2**40, -128, -256, -256, -(2**40), 0.5, 0.1],
        "constants": [None, False, True],
        "texts": ["ab", "c", "d", "e"],
        "bytes": [b"x", b"y", b"z"],
        "lists": [[1], [2]],
        "maps": [{"k": 1}, {"k": 2}],
    }


def test_bfloat16(file) -> None:
    values = torch.tensor([1.5, -2.0, 3e38], dtype=torch.bfloat16)
    raw = values.view(torch.int16).numpy().tobytes()
    file.write_bytes(b"\x81" + packed("w") + packed_array([3], "bfloat16", raw))
    assert torch.equal(read_arrays(file)["w"], values)


def test_a_numpy_scalar_and_the_short_forms_of_an_extension(file) -> None:
    short = b"\x93\x90\xa4int8\xc4\x01\x05"  # 9 bytes
    file.write_bytes(b"\x81\xa1n\xc7" + bytes([len(short), 3]) + short)
    assert read_arrays(file) == {"n": torch.tensor(5, dtype=torch.int8)}


def split(array: np.ndarray, at: int, shape: dict[str, int]) -> dict[str, object]:
    chunks = {"0": array.ravel()[:at], "1": array.ravel()[at:]}
    return {"__msgpack_chunked_array__": True, "shape": shape, "chunks": chunks}


def test_a_split_array_is_joined(file) -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    file.write_bytes(packed({"w": split(array, 5, {"0": 3, "1": 4})}))
    assert torch.equal(read_arrays(file)["w"], torch.from_numpy(array))


WHOLE = packed(tree_of({"a/kernel": np.ones((2, 3), np.float32), "b": np.zeros(2, np.float32)}))


@pytest.mark.parametrize("length", [1, 6, 30, len(WHOLE) // 2, len(WHOLE) - 1])
def test_a_truncated_file(length, file) -> None:
    file.write_bytes(WHOLE[:length])
    with pytest.raises(
        CheckpointError, match=r"expected a whole msgpack file of flax, found its end \d+ bytes too early"
    ):
        read_arrays(file)


HUGE = 2**32 - 1
HOSTILE = {
    "a list of four thousand million": (b"\xdd" + struct.pack(">I", HUGE), "found its end 4294967295 bytes too early"),
    "a map of as many": (b"\xdf" + struct.pack(">I", HUGE), "found its end"),
    "a text of four gigabytes": (b"\xdb" + struct.pack(">I", HUGE) + b"x", "found its end 4294967294 bytes"),
    "an array larger than its bytes": (
        b"\x81\xa1w" + packed_array([2**31, 2**31], "float32", b"1234"),
        r"found 4 bytes for an array of float32 with the shape \(2147483648, 2147483648\)",
    ),
    "a negative size": (b"\x81\xa1w" + packed_array([-1], "float32", b""), "an array without shape"),
    "a truth as a size": (b"\x81\xa1w" + packed_array([True], "int8", b"1"), "an array without shape"),
    "objects": (b"\x81\xa1w" + packed_array([1], "object", b"12345678"), "found an array of 'object'"),
    "an extension of somebody else": (b"\x81\xa1w\xd4\x2a\x00", "found the extension type 42"),
    "a complex number": (b"\x81\xa1w\xd4\x02\x00", "found a complex number"),
    "an extension that is not a list": (b"\x81\xa1w\xd4\x01\x00", "an array without shape"),
    "deep nesting": (b"\x91" * 100_000 + b"\x00", "found more than 64 levels"),
    "a key that is no name": (b"\x81\x01\x02", "found the key 1"),
    "a key twice": (b"\x82\xa1w\xc0\xa1w\xc0", "found the key 'w'"),
    "no text": (b"\x81\xa1\xff\xc0", "a text that is not UTF-8"),
    "a byte that begins nothing": (b"\xc1", "the byte 0xc1"),
    "more than one value": (WHOLE + b"\x00", "found 1 bytes more"),
    "a number": (packed({"step": 3}), "step: expected an array or names with arrays, found a int"),
    "an array that is elsewhere": (packed({"w": "PLACEHOLDER://w"}), "found that it has a folder of its own"),
    "a split array of another shape": (
        packed({"w": split(np.zeros(4, np.float32), 2, {"0": 5})}),
        r"whose chunks do not make up its shape \(5,\)",
    ),
    "a split array without a shape": (
        packed({"w": split(np.zeros(4, np.float32), 2, {"7": 4})}),
        "a split array without shape or chunks",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file(what, file) -> None:
    content, found = HOSTILE[what]
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=found):
        read_arrays(file)


def test_no_file_and_an_empty_one(file) -> None:
    with pytest.raises(CheckpointError, match=r"cannot be read \(No such file"):
        read_arrays(file)
    file.write_bytes(b"")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_arrays(file)


@given(place=st.integers(0, len(WHOLE) - 1), byte=st.integers(0, 255))
@settings(max_examples=200, deadline=None)
def test_a_changed_byte_gives_arrays_or_an_error(place, byte, tmp_path_factory) -> None:
    file = tmp_path_factory.getbasetemp() / "changed"
    file.write_bytes(WHOLE[:place] + bytes([byte]) + WHOLE[place + 1 :])
    with contextlib.suppress(CheckpointError):
        assert read_arrays(file)
