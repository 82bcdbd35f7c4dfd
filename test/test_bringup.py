"""``./vla up`` in a terminal, and ``./vla operate`` beside it, as a person uses them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from pseudo_terminal import PseudoTerminal
from support import eventually, processes_marked_by

from vla.ros.operator import Operator
from vla_core.episodes import EpisodeReader, list_episodes

ROWS = r"● REC +[0-9:.]+ +(?:[2-9]|[1-9][0-9]+) rows"
_SPAN_S = 0.1
pytestmark = pytest.mark.ros


class UpEnded(Exception):
    """``./vla up`` has ended; nobody is there any more."""


class Up(PseudoTerminal):
    """``./vla up`` in a terminal, whose processes can be told from all others by their folder for temporary files."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder = folder
        self.environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "TMPDIR": str(folder)}
        super().__init__([sys.executable, "-m", "vla", "up", *words], self.environment)

    def check(self) -> None:
        if not self.running:
            raise UpEnded

    def operate(self, *words: str) -> subprocess.CompletedProcess[str]:
        """``./vla operate`` in another terminal."""
        command = [sys.executable, "-m", "vla", "operate", *words]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=300, check=False)

    def interrupted(self, *words: str, when: Callable[[], object]) -> subprocess.CompletedProcess[str]:
        """``./vla operate`` in another terminal, where control-C is pressed when a condition holds."""
        command = [sys.executable, "-m", "vla", "operate", *words]
        with subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                eventually(when, 120.0)
                process.send_signal(signal.SIGINT)
                said, errors = process.communicate(timeout=120)
            finally:
                process.kill()
        return subprocess.CompletedProcess(command, process.returncode, said, errors)

    def told(self, *words: str) -> str:
        """What ``./vla operate`` says when it does what it is asked for."""
        done = self.operate(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def ends(self) -> int:
        """Waits for the end, which must leave no process; returns the exit status."""
        status = self.end(120.0)
        assert processes_marked_by(self.folder) == [], self.output
        return status


class Clockwork:
    """Lets the simulated time of a lockstep run go on while the block runs, not faster than real time."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        self._ended = threading.Event()
        self._going = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="clockwork", daemon=True)

    def __enter__(self) -> Clockwork:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(60.0)

    @contextmanager
    def paused(self) -> Iterator[None]:
        with self._going:
            yield

    def in_motion(self) -> bool:
        return max(abs(velocity) for velocity in self._operator.command.velocity or [0.0]) > 0.05

    def _run(self) -> None:
        with suppress(UpEnded):
            while not self._ended.wait(_SPAN_S):
                with self._going:
                    self._operator.run_simulation(_SPAN_S)


@pytest.fixture(scope="class")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """In lockstep, so that every stream comes in time on any machine."""
    folder = tmp_path_factory.mktemp("up")
    words = ("robot:=sim", "policy:=fake", "record:=true", "expert:=true", "lockstep:=true")
    with Up(folder, *words, f"episodes:={folder / 'episodes'}") as running:
        running.expect("(?s)READY .*put the cube on the mark", 180.0)
        yield running


@pytest.fixture(scope="class")
def clockwork(up: Up) -> Iterator[Clockwork]:
    with Operator(up.check) as operator, Clockwork(operator) as clockwork:
        yield clockwork


def started(up: Up, within_s: float = 120.0) -> str:
    """Presses s until an episode is being recorded: a moment ago not all streams had come. Returns why not, or nothing."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        up.type("s")
        answer = up.expect(r"recording episode_\d\.hdf5|not started: .*")
        if "recording" in answer:
            up.expect(ROWS)
            return ""
    return answer


@pytest.mark.usefixtures("clockwork")
class TestInTheTerminal:
    def test_its_keys_record_discard_mark_and_help(self, up: Up) -> None:
        assert re.search(r"sim_node, command_node, policy_node, recorder_node, expert_node; logs in \S+", up.output)
        up.type("h")
        up.expect(r"(?s)s  start an episode.*d  discard.*f  mark.*r  record again.*p  type a prompt.*h  help.*q  quit")
        assert started(up) == ""
        up.type("s")
        up.expect(r"episode_0\.hdf5 saved, \d+ steps")
        up.type("p")
        up.expect("prompt: ")
        up.type("stack the cube\r")
        up.expect("prompt: stack the cube")
        assert started(up) == ""
        up.type("d")
        up.expect("discarded")
        assert started(up) == ""
        up.type("f")
        up.expect("→ failure")
        up.type("s")
        up.expect(r"episode_1\.hdf5 saved, \d+ steps")
        up.expect("2 saved")
        found = []
        for path in list_episodes(up.folder / "episodes"):
            with EpisodeReader(path) as episode:
                found.append((path.name, episode.info.outcome, episode.info.metadata.prompt))
                assert len(episode) > 1
                assert episode.info.metadata.robot == "sim"
        assert found == [
            ("episode_0.hdf5", "success", "put the cube on the mark"),
            ("episode_1.hdf5", "failure", "stack the cube"),
        ]
        assert sorted(path.name for path in (up.folder / "episodes").iterdir()) == ["episode_0.hdf5", "episode_1.hdf5"]

    def test_the_robot_is_worked_from_another_terminal(self, up: Up, clockwork: Clockwork) -> None:
        assert up.told("arm", "--shadow") == "armed in shadow mode"
        assert up.told("status") == "policy: READY\ncommand: SHADOW"
        assert up.told("disarm") == "disarmed"
        assert re.fullmatch(r"[3-6] chunks in 1\.\d s", up.told("run", "--seconds", "1.2", "--prompt", "wave"))
        interrupted = up.interrupted("run", "--seconds", "1000", when=clockwork.in_motion)
        assert (interrupted.returncode, interrupted.stdout) == (130, "stopping\n")
        assert up.told("status") == "policy: READY\ncommand: READY"
        with clockwork.paused():
            assert up.told("reset", "--seed", "7") == "world 7"
        assert up.told("expert") == "the expert acts"

    def test_q_ends_everything_once_it_was_pressed_twice_while_an_episode_is_recorded(self, up: Up) -> None:
        before = list_episodes(up.folder / "episodes")
        assert started(up) == ""
        up.type("q")
        up.expect("an episode is being recorded: stop it .* or press q again")
        assert len(processes_marked_by(up.folder)) == 6
        up.type("q")
        assert up.ends() == 0
        assert "Traceback" not in up.output
        (path,) = {*(up.folder / "episodes").iterdir()} - {*before}
        with EpisodeReader(path) as episode:
            assert episode.info.outcome == "failure"  # nobody said how it ended


# -- in real time ----------------------------------------------------------------------------------------------------------


def test_control_c_stops_the_arm_keeps_the_episode_and_ends_everything(tmp_path: Path) -> None:
    words = ("robot:=mock", "policy:=fake", "record:=true", f"episodes:={tmp_path / 'episodes'}")
    with Up(tmp_path, *words) as up:
        up.expect("READY", 180.0)
        assert up.told("arm") == "armed"
        reason = started(up, within_s=40.0)
        if re.search(r"is \d+\.\d s old", reason):
            pytest.skip(f"this machine is too busy now for real time: {reason}")
        assert reason == ""
        up.type("\x03")
        assert up.ends() == 0
        assert "Traceback" not in up.output
    with EpisodeReader(tmp_path / "episodes" / "episode_0.hdf5") as episode:
        assert episode.info.outcome == "failure"  # nobody said how it ended
        assert episode.info.metadata.robot == "mock"


@pytest.mark.parametrize(
    ("ending", "status", "said"),
    [(signal.SIGTERM, 143, ""), (signal.SIGKILL, 1, "vla: sim_node ended with exit status -9; the last it said:")],
    ids=["SIGTERM", "a process is killed"],
)
def test_however_it_ends_no_process_is_left(tmp_path: Path, ending: signal.Signals, status: int, said: str) -> None:
    with Up(tmp_path, "robot:=mock") as up:
        up.expect("sim_node; logs in", 120.0)
        nodes = eventually(lambda: [pid for pid in processes_marked_by(tmp_path) if pid != up.process_id], 60.0)
        if said:
            os.kill(nodes[0], ending)
        else:
            up.signal(ending)
        assert up.ends() == status
        assert said in up.output


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("robot=sim", "vla: expected name:=value, found 'robot=sim'"),
        ("colour:=red", "vla: unknown argument colour; expected some of "),
        ("robot:=ur5", "vla: bringup: robot: expected 'sim', 'mock' or 'real', found 'ur5'"),
    ],
)
def test_wrong_arguments_are_refused_with_one_sentence(tmp_path: Path, word: str, sentence: str) -> None:
    with Up(tmp_path, word) as up:
        assert up.ends() == 1
        assert up.output.startswith(sentence)
        assert up.output.count("\n") <= 4  # the list of arguments is wider than the terminal
