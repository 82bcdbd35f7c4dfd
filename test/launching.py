"""Launch files run by ROS's launch in a process of its own, and executables that stand in for what they start."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from support import eventually, processes_marked_by

ROOT = Path(__file__).resolve().parents[1]
FRANKA_LAUNCH_FILE = ROOT / "test" / "data" / "launch" / "franka.launch.py"

# what `ros2 launch FILE name:=value ...` does
_LAUNCH = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import AnyLaunchDescriptionSource

path, *words = sys.argv[1:]
given = [tuple(word.split(":=", 1)) for word in words]
service = LaunchService(argv=words, noninteractive=not sys.stdin.isatty())
include = IncludeLaunchDescription(AnyLaunchDescriptionSource(path), launch_arguments=given)
service.include_launch_description(LaunchDescription([include]))
sys.exit(service.run())
"""

# writes down what it was given, and then ends by itself or when it is asked to
_STAND_IN = """#!{python} -IS
import json, os, pathlib, signal, sys

asked = {{signal.SIGINT, signal.SIGTERM}}
signal.pthread_sigmask(signal.SIG_BLOCK, asked)
files = [after for before, after in zip(sys.argv, sys.argv[1:]) if before == "--params-file"]
told = {{
    "arguments": sys.argv[1:],
    "parameters": [pathlib.Path(file).read_text() for file in files],
    "environment": dict(os.environ),
}}
record = pathlib.Path(os.environ["RECORDS"], "{executable}.json")
record.with_suffix(".part").write_text(json.dumps(told))
record.with_suffix(".part").rename(record)
{then}
"""
_UNTIL_ASKED = "signal.sigwait(asked)"

_PATIENCE_S = 240.0  # importing launch takes a while on a busy machine

_STARTED = re.compile(r"\[INFO\] \[(\w+)-\d+\]: process started with pid \[(\d+)\]")
_ENDED_WELL = re.compile(r"\[INFO\] \[(\w+)-\d+\]: process has finished cleanly")


def launch_file(name: str) -> Path:
    return ROOT / "launch" / f"{name}.launch.py"


class StandIns:
    """A place where ROS finds packages whose executables only write down what they were given.

    Args:
        folder: for the packages and what is written down; it does not exist yet.
    """

    def __init__(self, folder: Path) -> None:
        self.prefix = folder / "prefix"
        self.records = folder / "records"
        self.records.mkdir(parents=True)

    def add(self, package: str, executable: str, then: str = _UNTIL_ASKED) -> None:
        """Makes an executable; ``then`` is what it does after it has written down what it was given."""
        self._add_package(package)
        path = self.prefix / "lib" / package / executable
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_STAND_IN.format(python=sys.executable, executable=executable, then=then))
        path.chmod(0o755)

    def add_launch_file(self, package: str, file: Path) -> None:
        self._add_package(package)
        path = self.prefix / "share" / package / "launch" / file.name
        path.parent.mkdir(parents=True)
        shutil.copy(file, path)

    def environment(self) -> dict[str, str]:
        """For a launch that is to find them before all others."""
        prefixes = os.pathsep.join(filter(None, [str(self.prefix), os.environ.get("AMENT_PREFIX_PATH")]))
        return {"AMENT_PREFIX_PATH": prefixes, "RECORDS": str(self.records)}

    def told(self, executable: str) -> dict[str, Any]:
        """What an executable or a launch file has written down, as soon as it has."""
        path = self.records / f"{executable}.json"
        eventually(path.is_file, _PATIENCE_S)
        return json.loads(path.read_text())

    def parameters(self, node: str) -> dict[str, Any]:
        """The ROS parameters that an executable was given; it must have been given the node's name too."""
        told = self.told(node)
        assert f"__node:={node}" in told["arguments"]
        (text,) = told["parameters"]
        parameters = yaml.load(text, yaml.FullLoader)["/**"][
            "ros__parameters"
        ]  # launch writes a list as a Python tuple
        return {name: list(value) if isinstance(value, tuple) else value for name, value in parameters.items()}

    def _add_package(self, package: str) -> None:
        index = self.prefix / "share" / "ament_index" / "resource_index" / "packages"
        index.mkdir(parents=True, exist_ok=True)
        (index / package).touch()


def _heed_interrupts() -> None:
    """What a shell runs in the background ignores SIGINT, and so would all that is launched."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Launched:
    """A launch file that was launched. A context manager: what is left of it at the end is killed.

    Args:
        file: the launch file.
        words: its arguments, ``name:=value``.
        folder: an empty one, for logs and temporary files; its path marks the processes as ours.
        environment: besides that of this process.
    """

    def __init__(self, file: Path, words: Iterable[str], folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._log = folder / "output.log"
        own = {
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "PYTHONUNBUFFERED": "1",
            "ROS_LOG_DIR": str(folder / "log"),
            "TMPDIR": str(folder),
        }
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _LAUNCH, str(file), *words],
                env=os.environ | own | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_heed_interrupts,
            )

    def __enter__(self) -> Launched:
        return self

    def __exit__(self, *_: object) -> None:
        for process_id in self._processes():
            os.kill(process_id, signal.SIGKILL)
        self._process.wait()

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def started(self) -> dict[str, int]:
        """The name and process id of every process that launch has started."""
        return {name: int(process_id) for name, process_id in _STARTED.findall(self.output)}

    @property
    def ended_well(self) -> set[str]:
        """The processes that ended with exit status 0."""
        return set(_ENDED_WELL.findall(self.output))

    def check(self) -> None:
        """Fails if the launch has ended."""
        assert self._process.poll() is None, self.output

    def interrupt(self) -> int:
        """Sends SIGINT and returns the exit status."""
        self._process.send_signal(signal.SIGINT)
        return self.wait()

    def wait(self) -> int:
        """Waits for the end, which must leave no process, and returns the exit status."""
        try:
            status = self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"expected the launch to end, found it running:\n{self.output}") from None
        assert self._processes() == [], self.output
        return status

    def _processes(self) -> list[int]:
        """The processes that are left of it, launch itself included."""
        return processes_marked_by(self._folder)
