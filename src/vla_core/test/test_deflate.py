"""Data that are made for HDF5's deflate filter are what zlib reads."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_core.episodes.deflate import compressed, inflated, padded, unpadded


def some_file(size: int, seed: int = 0) -> bytes:
    """Bytes that cannot be compressed and end like a JPEG file."""
    data = np.random.default_rng(seed).integers(0, 256, size, np.uint8).tobytes()
    return data[:-2] + b"\xff\xd9" if size > 1 else b"\xd9" * size


@given(size=st.integers(0, 140_000), zeros=st.one_of(st.integers(0, 600), st.integers(0, 500_000)))
def test_a_padded_file_is_that_file_and_zeros(size: int, zeros: int) -> None:
    data = some_file(size)
    made = padded(data, size + zeros)
    assert zlib.decompress(made) == data + bytes(zeros)
    assert unpadded(made, size + zeros) == data
    assert len(made) <= size + 5 * (size // 65535 + 1) + zeros // 500 + 60


@pytest.mark.parametrize("size", [1, 65534, 65535, 65536, 131070, 131071])
def test_files_of_whole_blocks_too(size: int) -> None:
    for zeros in (0, 1, 258, 70_000):
        made = padded(some_file(size), size + zeros)
        assert zlib.decompress(made) == some_file(size) + bytes(zeros)
        assert unpadded(made, size + zeros) == some_file(size)


@pytest.mark.parametrize("level", [0, 1, 9])
def test_what_another_program_compressed_is_read_too(level: int) -> None:
    data = some_file(90_000) + b"text " * 9000 + b"\xff\xd9"
    size = len(data) + 70_000
    assert unpadded(zlib.compress(data + bytes(70_000), level), size) == data


def test_a_file_with_zeros_within_keeps_them() -> None:
    data = some_file(1000) + bytes(400_000) + some_file(1000)
    assert unpadded(padded(data, len(data) + 99), len(data) + 99) == data


@pytest.mark.parametrize("place", [5, 70_000, -2])
def test_damage_is_noticed(place: int) -> None:
    made = bytearray(padded(some_file(75_000), 300_000))
    made[place] ^= 4
    with pytest.raises(ValueError, match="compressed data cannot be read"):
        unpadded(bytes(made), 300_000)
    with pytest.raises(ValueError, match="compressed data cannot be read"):
        unpadded(bytes(made[:50_000]), 300_000)


def test_compressed_data_are_zlibs() -> None:
    data = some_file(10_000) * 3 + bytes(10_000)
    assert zlib.decompress(compressed(data)) == data
    assert inflated(zlib.compress(data)) == data
    assert len(compressed(data)) < len(data)
