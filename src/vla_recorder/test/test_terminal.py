"""The console in a real pseudo-terminal and at the end of a pipe, on a recorder that writes real files."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vla_core.episodes import EpisodeReader, list_episodes

SCRIPT = Path(__file__).with_name("console_with_synthetic_robot.py")
SOURCES = [str(Path(__file__).parents[2] / package) for package in ("vla_core", "vla_recorder")]
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(SOURCES),
    "TERM": "xterm-256color",
    "COLUMNS": "",
    "LINES": "",
}
BOUND_S = 20.0
RECORDS = r"● REC +0:[0-9.]+ +[1-9][0-9]* rows"


class Terminal:
    """A process in a pseudo-terminal of 120 columns."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 120, 0, 0))
        self.mode_before = termios.tcgetattr(self.slave)
        environment = {name: value for name, value in ENVIRONMENT.items() if value}
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), str(folder), *arguments],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that control-C is a signal
        )
        self.output = ""
        self._seen = 0

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def expect(self, pattern: str) -> str:
        """Waits until the pattern appears in what was printed after the last match."""
        deadline = time.monotonic() + BOUND_S
        while time.monotonic() < deadline:
            plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.output[self._seen :])
            match = re.search(pattern, plain)
            if match:
                self._seen = len(self.output)
                return match.group(0)
            if not self._read(0.1) and self.process.poll() is not None:
                break
        raise AssertionError(f"waited for {pattern!r}, found at the end {self.output[-1000:]!r}")

    def end(self) -> int:
        """Reads to the end of the process. Returns its exit status."""
        deadline = time.monotonic() + BOUND_S
        while self.process.poll() is None and time.monotonic() < deadline:
            self._read(0.1)
        return self.process.wait(1.0)

    def _read(self, timeout_s: float) -> bool:
        readable, _, _ = select.select([self.master], [], [], timeout_s)
        if readable:
            self.output += os.read(self.master, 65536).decode(errors="replace")
        return bool(readable)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def open_terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def open_one(*arguments: str) -> Terminal:
        opened.append(Terminal(tmp_path, *arguments))
        return opened[-1]

    yield open_one
    for terminal in opened:
        terminal.close()


def test_an_operator_records_with_the_keyboard(open_terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    terminal = open_terminal()
    terminal.expect(r"READY[^“]*no prompt")
    terminal.type("p")
    terminal.expect("prompt: ")
    terminal.type("pick the würfle\x1b[D\x7fel\x1b[3~")
    terminal.expect("pick the würfel")
    terminal.type("\rs")
    terminal.expect(r"recording episode_0\.hdf5")
    terminal.expect(RECORDS)
    terminal.type("s")
    terminal.expect(r"episode_0\.hdf5: success, \d+ steps")
    terminal.type("s")
    terminal.expect(r"recording episode_1\.hdf5")
    terminal.expect(RECORDS)
    terminal.type("d")
    terminal.expect(r"episode_1\.hdf5: discarded")
    terminal.type("s")
    terminal.expect(r"recording episode_1\.hdf5")
    terminal.expect(RECORDS)
    terminal.type("f")
    terminal.expect("→ failure")
    terminal.type("s")
    terminal.expect(r"episode_1\.hdf5: failure, \d+ steps")
    terminal.expect("2 saved, 1 of them failed")
    terminal.type("q")
    assert terminal.end() == 0
    outcomes = []
    for path in list_episodes(tmp_path):
        with EpisodeReader(path) as episode:
            outcomes.append((episode.info.outcome, episode.info.metadata.prompt))
    assert outcomes == [("success", "pick the würfel"), ("failure", "pick the würfel")]
    assert len(list(tmp_path.iterdir())) == 2


def test_an_operator_works_through_a_list_and_records_again(
    open_terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    prompts = tmp_path / "list.yaml"
    prompts.write_text("schema: vla/prompts/1\nprompts: [{prompt: pick, wanted: 1}, {prompt: place, wanted: 5}]\n")
    terminal = open_terminal("--prompts", str(prompts))
    terminal.expect(r"“pick” +0 of 1")
    terminal.type("s")
    terminal.expect(RECORDS)
    terminal.type("n")
    terminal.expect("prompt: place")
    terminal.type("f")
    terminal.expect("→ failure")
    terminal.type("g")
    terminal.expect("marked as a success")
    terminal.type("s")
    terminal.expect(r"episode_0\.hdf5: success, \d+ steps")
    terminal.expect(r"“place” +[01] of 5")
    terminal.type("r")
    terminal.expect(r"recording episode_0\.hdf5 again")
    terminal.expect(RECORDS)
    terminal.type("s")
    terminal.expect(r"episode_0\.hdf5: success, \d+ steps")
    terminal.expect("1 saved")
    terminal.type("q")
    assert terminal.end() == 0
    with EpisodeReader(tmp_path / "episode_0.hdf5") as episode:
        assert set(episode.prompts) == {"pick"}


def test_a_start_is_refused_by_the_name_of_what_is_missing(
    open_terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    terminal = open_terminal("--blind")
    terminal.expect("✗ gripper_command: nothing received")
    terminal.type("s")
    terminal.expect("not started: 'gripper_command': nothing was received on /gripper/command, expected about 20 Hz")
    terminal.type("q")
    assert terminal.end() == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        (lambda terminal: terminal.type("q"), 0),
        (lambda terminal: terminal.type("\x03"), 0),
        (lambda terminal: os.kill(terminal.process.pid, signal.SIGINT), 0),
        (lambda terminal: os.kill(terminal.process.pid, signal.SIGTERM), 128 + signal.SIGTERM),
        (lambda terminal: os.kill(terminal.process.pid, signal.SIGHUP), 128 + signal.SIGHUP),
    ],
    ids=["q", "control-c", "SIGINT", "SIGTERM", "SIGHUP"],
)
def test_the_terminal_is_restored_however_the_console_ends(
    open_terminal: Callable[..., Terminal], ending: Callable[[Terminal], None], status: int
) -> None:
    terminal = open_terminal()
    terminal.expect("READY")
    assert not termios.tcgetattr(terminal.slave)[3] & (termios.ECHO | termios.ICANON)
    ending(terminal)
    assert terminal.end() == status
    assert termios.tcgetattr(terminal.slave) == terminal.mode_before
    assert "Traceback" not in terminal.output
    assert terminal.output.count("\x1b[?25h") == terminal.output.count("\x1b[?25l")


def test_an_error_of_the_recorder_leaves_a_usable_terminal(open_terminal: Callable[..., Terminal]) -> None:
    terminal = open_terminal("--failing")
    assert terminal.end() == 1
    assert "RuntimeError: the status cannot be had" in terminal.output
    assert termios.tcgetattr(terminal.slave) == terminal.mode_before


def test_a_script_presses_keys_through_a_pipe_and_reads_plain_lines(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, str(SCRIPT), str(tmp_path), "--broken"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={name: value for name, value in ENVIRONMENT.items() if value},
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("popen the drawer\ns")
        process.stdin.flush()
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line.rstrip())
            if "recorder: recording" in line:
                break
        episode = tmp_path / "episode_0.hdf5.partial"
        deadline = time.monotonic() + BOUND_S
        while episode.stat().st_size < 1_000_000 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.stdin.write("s")
        process.stdin.close()
        lines += [line.rstrip() for line in process.stdout]
    assert process.returncode == 0
    assert "\x1b" not in "".join(lines)
    assert "wrist: slow: 30 Hz expected" in lines
    assert "prompt: open the drawer" in lines
    assert any(re.fullmatch(r"episode_0\.hdf5: success, \d+ steps", line) for line in lines)
    assert len(lines) < 12
    with EpisodeReader(tmp_path / "episode_0.hdf5") as episode_reader:
        assert episode_reader.info.metadata.prompt == "open the drawer"
