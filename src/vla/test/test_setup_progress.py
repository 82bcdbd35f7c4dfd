"""How programs of the set-up are run, shown and ended."""

from __future__ import annotations

import io
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from vla.setup.errors import SetupError, UnsuitableMachine
from vla.setup.progress import Console


class Terminal(io.StringIO):
    """Calls ``then`` when it is to show the text ``until``."""

    def __init__(self, until: str, then: Callable[[], None]) -> None:
        super().__init__()
        self._until = until
        self._then = then

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self._until in text:
            self._then()
        return super().write(text)


def python(code: str) -> list[str]:
    return [sys.executable, "-ISc", code]


def test_a_stage_is_one_line(tmp_path):
    stream = io.StringIO()
    console = Console(tmp_path / "log", stream=stream)
    with console.stage("[1/1] packages"):
        console.run(python("print('many\\nlines')"))
    assert stream.getvalue() == "  [1/1] packages ... 0 s\n"
    assert "many\nlines" in (tmp_path / "log").read_text()


def test_on_a_terminal_the_last_line_of_output_is_shown(tmp_path):
    shown = Terminal(until="Collecting numpy", then=(tmp_path / "go").touch)
    console = Console(tmp_path / "log", stream=shown)
    code = f"""
import pathlib, time
print("Collecting numpy", flush=True)
while not pathlib.Path({str(tmp_path / "go")!r}).exists():
    time.sleep(0.01)
"""
    with console.stage("packages"):
        console.run(python(code))
    assert re.search(r"\r\033\[2K  packages ... \d s  Collecting numpy", shown.getvalue())
    assert re.search(r"\r\033\[2K  packages ... \d s\n$", shown.getvalue())


def test_a_failure_names_the_program_the_log_and_the_reason(tmp_path):
    console = Console(tmp_path / "log", stream=io.StringIO())
    code = "import sys; print('fine'); print('ERROR: no matching distribution'); print('later'); sys.exit(3)"
    with pytest.raises(SetupError) as caught, console.stage("packages"):
        console.run(python(code))
    message = str(caught.value)
    assert message.startswith("packages: 'python")
    assert "ended with exit code 3" in message
    assert str(tmp_path / "log") in message
    assert message.endswith("\n    ERROR: no matching distribution")
    assert caught.value.exit_code == 1


def test_an_earlier_programs_errors_are_not_blamed(tmp_path):
    console = Console(tmp_path / "log", stream=io.StringIO())
    console.run(python("print('error: of before')"))
    with pytest.raises(SetupError) as caught:
        console.run(python("raise SystemExit('error: of now')"))
    assert "of before" not in str(caught.value)


def test_a_full_disk_is_one_sentence(tmp_path):
    console = Console(tmp_path / "log", stream=io.StringIO())
    with pytest.raises(UnsuitableMachine, match=r"^the disk is full \(free: \d+ MB in .*\); make room"):
        console.run(python("raise SystemExit('OSError: [Errno 28] No space left on device')"))


def test_an_interruption_ends_the_program_and_its_children(tmp_path, monkeypatch):
    console = Console(tmp_path / "log", stream=io.StringIO())
    pids = tmp_path / "pids"

    def interrupted(self, process) -> None:
        while not (pids.exists() and pids.read_text().endswith("\n")):
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(Console, "_wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        console.run(["sh", "-c", f"sleep 600 & echo $$ $! > {pids}; wait"])
    deadline = time.monotonic() + 10
    while any(is_alive(int(pid)) for pid in pids.read_text().split()):
        assert time.monotonic() < deadline, "still running"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether a process still runs; one that waits only for being reaped by somebody else does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_programs_hold_the_descriptors_they_are_given(tmp_path):
    reading, writing = os.pipe()
    console = Console(tmp_path / "log", held=(writing,), stream=io.StringIO())
    console.run(python(f"import os; os.write({writing}, b'held')"))
    assert os.read(reading, 10) == b"held"
    os.close(reading)
    os.close(writing)
