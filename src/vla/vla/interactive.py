"""Bringups that a person works with: processes in the terminal, and the recorder's keyboard."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from vla.environment import child_environment
from vla.graph import bringup_from, bringup_graph
from vla.supervisor import Supervisor
from vla_core.errors import ConfigError


def arguments_from(words: Sequence[str]) -> dict[str, str]:
    """``["robot:=sim"]`` as ``{"robot": "sim"}``.

    Raises:
        ConfigError: a word is not of the form ``name:=value``.
    """
    given = {}
    for word in words:
        name, separator, value = word.partition(":=")
        if not separator or not name:
            raise ConfigError(f"expected name:=value, found '{word}'")
        given[name] = value
    return given


def bring_up(given: Mapping[str, str]) -> None:
    """Runs a bringup in the terminal until control-C. With a recorder, the keyboard works it."""
    bringup = bringup_from(given)
    graph = bringup_graph(bringup)
    if bringup.robot == "real":
        _launch_with_ros(given)
    console = Console(highlight=False)
    logs = Path(tempfile.mkdtemp(prefix="vla-logs-"))
    environment = child_environment()
    os.environ.update(environment)
    show = None if bringup.record else lambda name, line: console.print(f"{name}: {line}", markup=False)
    console.print(f"{', '.join(process.name for process in graph.processes)}; logs in {logs}", style="dim")
    with Supervisor(graph.processes, environment, logs, show) as supervisor:
        try:
            if bringup.record:
                from vla.ros.console import work_recorder_by_keyboard

                work_recorder_by_keyboard()
            else:
                supervisor.wait(lambda: False)
        except KeyboardInterrupt:
            console.print("stopping", style="dim")


def record_by_keyboard(words: Sequence[str], out: Path, task: str, embodiment: str) -> None:
    """Brings a robot and a recorder up, with the keyboard in the operator's hands.

    A simulated robot has an expert beside it, as there is nobody else to teleoperate it: ``./vla operate expert``.
    """
    given = {"record": "true", "episodes": str(out), "task": task, "embodiment": embodiment, **arguments_from(words)}
    if given.get("robot", "sim") == "sim":
        given.setdefault("expert", "true")
    bring_up(given)


def _launch_with_ros(given: Mapping[str, str]) -> None:
    """Hands over to ROS's launch, which alone can include the driver's launch file."""
    if shutil.which("ros2") is None:
        raise ConfigError(
            "robot:=real: expected a sourced ROS 2 Jazzy with the robot's driver (franka_ros2), found no 'ros2' command"
        )
    words = [f"{name}:={value}" for name, value in given.items() if value]  # it takes no empty values
    os.execvp("ros2", ["ros2", "launch", "vla", "bringup.launch.py", *words])
