"""Processors are kept awake by a file that is open, and let go with it."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from vla_ros.idle_states import IdleStates


def opened(path: Path) -> bool:
    """Whether this process has the file open."""
    return any(os.path.realpath(f"/proc/self/fd/{number}") == str(path) for number in os.listdir("/proc/self/fd"))


@pytest.fixture
def device(tmp_path: Path) -> Path:
    path = tmp_path.resolve() / "cpu_dma_latency"
    path.touch()
    return path


def test_the_file_is_open_for_as_long_as_they_are_kept_awake(device: Path) -> None:
    states = IdleStates(device=device)
    assert str(states) == "processors kept awake in motion"
    assert not opened(device)
    for _ in range(2):
        states.permit(asleep=False)
        assert opened(device)
    assert struct.unpack("i", device.read_bytes()) == (0,)
    for _ in range(2):
        states.permit(asleep=True)
        assert not opened(device)


def test_without_permission_nothing_happens_and_it_is_said(tmp_path: Path) -> None:
    states = IdleStates(device=tmp_path / "cpu_dma_latency")
    states.permit(asleep=False)
    assert str(states).startswith("processors may sleep: [Errno 2]")
    assert str(states).endswith(f"'{tmp_path}/cpu_dma_latency'")
    assert list(tmp_path.iterdir()) == []


def test_they_are_left_alone_where_nobody_wants_it(device: Path) -> None:
    states = IdleStates(wanted=False, device=device)
    states.permit(asleep=False)
    assert str(states) == "processors may sleep: realtime_priority is 0"
    assert not opened(device)
