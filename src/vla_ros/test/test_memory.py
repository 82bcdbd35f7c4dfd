"""Whether the threads of a process share a heap, as glibc itself counts heaps."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = """
import ctypes, sys, threading
from vla_ros.memory import share_one_heap

if sys.argv[1] == "shared":
    share_one_heap()
together = threading.Barrier(6)

def allocate():
    kept = bytearray(100_000)
    together.wait()
    del kept

threads = [threading.Thread(target=allocate) for _ in range(6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
c = ctypes.CDLL(None)
c.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(c.fopen(sys.argv[2].encode(), b"w"))
c.malloc_info(0, file)
c.fclose(file)
"""

pytestmark = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="the C library is not glibc")


@pytest.mark.parametrize(("how", "one"), [("shared", True), ("as they are", False)])
def test_threads_share_a_heap(tmp_path: Path, how: str, one: bool) -> None:
    counted = tmp_path / "malloc_info.xml"
    subprocess.run([sys.executable, "-c", _PROGRAM, how, str(counted)], check=True, timeout=60)
    heaps = counted.read_text().count("<heap ")
    assert (heaps == 1) if one else (heaps > 1)
