"""robot:=real is handed over to ROS's launch, which alone can include the driver's launch file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vla.environment import child_environment


def vla(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a command where ``ros2`` is a stand-in that tells what it was called with."""
    ros2 = folder / "ros2"
    ros2.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    ros2.chmod(0o755)
    environment = child_environment() | {
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    return subprocess.run(
        [sys.executable, "-m", "vla", *arguments], env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("command", [["up", "record:=true"], ["record"]], ids=["up", "record"])
def test_ros_gets_what_was_given_and_no_empty_value(tmp_path: Path, command: list[str]) -> None:
    done = vla(tmp_path, *command, "robot:=real", "robot_ip:=172.16.0.2")
    assert done.returncode == 0, done.stderr
    words = done.stdout.splitlines()
    assert words[:3] == ["launch", "vla", "bringup.launch.py"]
    given = dict(word.split(":=") for word in words[3:])
    assert (given["robot"], given["robot_ip"], given["record"]) == ("real", "172.16.0.2", "true")
    assert all(given.values())  # ros2 launch refuses name:=


def test_what_is_wrong_is_said_before_the_hand_over(tmp_path: Path) -> None:
    done = vla(tmp_path, "record", "robot:=real")
    assert done.returncode == 1
    assert "robot_ip" in done.stderr
    assert done.stdout == ""
