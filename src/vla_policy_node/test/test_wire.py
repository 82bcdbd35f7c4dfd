"""msgpack with arrays: what two published protocols send is read, and nothing else, whoever sent it."""

from __future__ import annotations

import contextlib
import io
import pickle
import struct
import tracemalloc
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_core.errors import PeerError
from vla_policy_node.remote.wire import GrootArrays, OpenpiArrays, array_from, array_from_npy, pack, unpack

CAP = 1 << 20
FORMS = [OpenpiArrays(), GrootArrays()]
ARRAYS = [
    np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    np.array(3.5),
    np.zeros((0, 7)),
    np.array([True, False]),
    np.arange(4, dtype=">i2"),
    np.full((4, 6, 3), 7, np.uint8),
    np.arange(6.0).reshape(2, 3).T,
]


class Harmful:
    """What is run when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("something was unpickled",)


def npy(array: np.ndarray, allow_pickle: bool = False, version: tuple[int, int] | None = None) -> bytes:
    file = io.BytesIO()
    if version is None:
        np.save(file, array, allow_pickle=allow_pickle)
    else:
        np.lib.format.write_array(file, array, version)
    return file.getvalue()


def openpi(array: np.ndarray, **changes: Any) -> dict[bytes, Any]:
    """An array as openpi's client has it, with changes."""
    fields = {"__ndarray__": True, "data": array.tobytes(), "dtype": array.dtype.str, "shape": array.shape, **changes}
    return {key.encode(): value for key, value in fields.items() if value is not None}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("array", ARRAYS)
def test_arrays_come_back_as_they_were(form: Any, array: np.ndarray) -> None:
    back = unpack(pack({"a": array, "b": [1, "text", None, 2.5, True, b"x"]}, form), form, CAP)
    assert back["b"] == [1, "text", None, 2.5, True, b"x"]
    assert back["a"].dtype == array.dtype
    np.testing.assert_array_equal(back["a"], array)


@pytest.mark.parametrize("array", ARRAYS)
def test_openpis_arrays_are_those_of_its_client(array: np.ndarray) -> None:
    assert msgpack.unpackb(pack(array, OpenpiArrays())) == {**openpi(array), b"shape": list(array.shape)}
    np.testing.assert_array_equal(unpack(msgpack.packb(openpi(array)), OpenpiArrays(), CAP), array)


@pytest.mark.parametrize("array", ARRAYS)
def test_groots_arrays_are_files_that_numpy_reads_and_writes(array: np.ndarray) -> None:
    sent = msgpack.unpackb(pack(array, GrootArrays()))
    assert sent["__ndarray_class__"] is True
    np.testing.assert_array_equal(np.load(io.BytesIO(sent["as_npy"]), allow_pickle=False), array)
    for version in ((1, 0), (2, 0)):
        np.testing.assert_array_equal(array_from_npy(npy(array, version=version)), array)


def test_numbers_of_numpy_keep_their_type() -> None:
    back = unpack(pack(np.float32(1.5), OpenpiArrays()), OpenpiArrays(), CAP)
    assert (back, type(back)) == (1.5, np.float32)


def test_groots_modalities_are_maps() -> None:
    sent = {"video": {"__ModalityConfig_class__": True, "as_json": {"delta_indices": [0], "modality_keys": ["ego"]}}}
    assert unpack(msgpack.packb(sent), GrootArrays(), CAP)["video"]["modality_keys"] == ["ego"]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"dtype": "|O"}, "expected a type of numbers, found '|O'"),
        ({"dtype": "O8"}, "expected a type of numbers"),
        ({"dtype": "<U4"}, "expected a type of numbers"),
        ({"dtype": "V8"}, "expected a type of numbers"),
        ({"dtype": "<c8"}, "expected a type of numbers"),
        ({"dtype": "<M8"}, "expected a type of numbers"),
        ({"dtype": [["a", "<f4"]]}, "expected a type of numbers"),
        ({"dtype": "f8, O"}, "expected a type of numbers"),
        ({"dtype": None}, "expected the keys"),
        ({"more": 1}, "expected the keys"),
        ({"shape": [3]}, "expected 12 bytes, found 8"),
        ({"shape": [1 << 62, 1 << 62]}, "bytes, found 8"),
        ({"shape": [-1, -2]}, "shape: expected"),
        ({"shape": [2.0]}, "shape: expected"),
        ({"shape": [True, 2]}, "shape: expected"),
        ({"shape": "2"}, "shape: expected"),
        ({"shape": [1] * 40 + [2]}, "shape: expected"),
        ({"data": "text"}, "expected bytes, found str"),
        ({"data": [1, 2]}, "expected bytes, found list"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused(changes: dict[str, Any], complaint: str) -> None:
    message = msgpack.packb(openpi(np.zeros(2, np.float32), **changes))
    with pytest.raises(PeerError) as refusal:
        unpack(message, OpenpiArrays(), CAP)
    assert complaint in str(refusal.value)


@pytest.mark.parametrize(
    "value", [{"data": "9", "dtype": "<f4"}, {"data": 300, "dtype": "|i1"}, {"data": 1, "dtype": "O"}]
)
def test_what_is_no_number_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(PeerError, match=r"number|type"):
        unpack(msgpack.packb({"__npgeneric__": True, **value}), OpenpiArrays(), CAP)


@pytest.mark.parametrize(
    "file",
    [
        pickle.dumps(Harmful()),
        npy(np.array([Harmful()], dtype=object), allow_pickle=True),
        npy(np.array([(1, 2.0)], dtype=[("a", "<i4"), ("b", "<f4")])),
        npy(np.zeros(3))[:-1],
        npy(np.zeros(3)) + b"x",
        npy(np.zeros(3))[:20],
        b"\x93NUMPY",
        b"",
        b"\x93NUMPY\x09\x00" + npy(np.zeros(3))[8:],
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + b"{" * 100,
        b"\x93NUMPY\x01\x00\x40\x00" + b"__import__('os').abort()".ljust(64),
        npy(np.zeros(3)).replace(b"(3,)", b"(9" + b"9" * 30 + b",)").replace(b" " * 30, b"", 1),
        "text",
    ],
)
def test_npy_files_of_anything_but_numbers_are_refused(file: Any) -> None:
    with pytest.raises(PeerError):
        unpack(msgpack.packb({"__ndarray_class__": True, "as_npy": file}), GrootArrays(), CAP)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xc1",
        b"\xdd\xff\xff\xff\xff",  # a list of four thousand million
        b"\xdf\xff\xff\xff\xff",  # a map of as many
        b"\xc6\xff\xff\xff\xff" + b"x",  # as many bytes
        b"\xdb\xff\xff\xff\xff" + b"x",  # as long a text
        b"\x91" * 5000,  # nested
        b"\xdc\x03\xff" * 2000,  # nested, and each long
        b"\xd4\x05\x00",  # an extension
        b"\xd6\xff\x00\x00\x00\x00",  # a time
        b"\x81\x80\x01",  # a map as a key
        b"\xa2\xff\xff",  # no UTF-8
        pack({"a": 1}, OpenpiArrays()) + b"\x00",
        pack(np.zeros(4), OpenpiArrays())[:-3],
        b"\xdb" + struct.pack(">I", 1 << 17) + b"a" * (1 << 17),
        b"\xc4\x00" * (CAP // 2) + b"\xc0" * 2,
    ],
)
def test_a_malformed_message_is_refused_without_taking_much_memory(message: bytes) -> None:
    tracemalloc.start()
    try:
        for form in FORMS:
            with pytest.raises(PeerError):
                unpack(message, form, CAP)
        assert tracemalloc.get_traced_memory()[1] < 24 * CAP  # nesting is bounded, and so is each level
    finally:
        tracemalloc.stop()


def test_a_message_that_is_too_long_is_not_read() -> None:
    with pytest.raises(PeerError, match="expected at most 100 bytes, found 101"):
        unpack(b"\xc0" * 101, OpenpiArrays(), 100)


def test_objects_are_not_sent() -> None:
    for value in (np.array([object()]), object(), {1, 2}, np.datetime64("now")):
        with pytest.raises(TypeError, match="expected"):
            pack(value, OpenpiArrays())


@given(st.binary(max_size=200), st.sampled_from(FORMS))
def test_any_bytes_are_read_or_refused(message: bytes, form: Any) -> None:
    with contextlib.suppress(PeerError):
        unpack(message, form, CAP)


@given(st.data(), st.sampled_from(FORMS), st.sampled_from(ARRAYS))
def test_a_message_with_wrong_bytes_is_read_or_refused(data: st.DataObject, form: Any, array: np.ndarray) -> None:
    message = bytearray(pack({"actions": array, "prompt": "go"}, form))
    for _ in range(data.draw(st.integers(1, 4))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(PeerError):
        unpack(bytes(message), form, CAP)


def test_what_is_read_cannot_be_written_to() -> None:
    array = array_from("<f4", [2], bytes(8))
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1.0
