"""The set-up as a whole, with stages that only leave a trace."""

from __future__ import annotations

import errno
import fcntl
import threading
from pathlib import Path

import pytest

from vla.setup import debian, main, plan
from vla.setup.errors import SetupError
from vla.setup.plan import Stage
from vla.setup.state import State
from vla.setup.workspace import Workspace


class Fakes:
    """Stages that note that they ran, and fail as they are told."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ran: list[str] = []
        self.failing: dict[str, BaseException] = {}

    def plan(self, workspace: Workspace) -> list[Stage]:
        key = f"Python with ROS from PyPI in {self.root}"
        return [
            Stage(plan.VENV, key, self._run(plan.VENV), workspace.python.exists(), repeatable=False),
            Stage("packages", "1", self._run("packages"), repeatable=False),
            Stage("interfaces", "1", self._run("interfaces")),
        ]

    def _run(self, name: str):
        def run(workspace, console) -> None:
            self.ran.append(name)
            if name in self.failing:
                raise self.failing[name]
            if name == plan.VENV:
                workspace.python.parent.mkdir()
                workspace.python.touch()

        return run


@pytest.fixture
def fakes(tmp_path, monkeypatch) -> Fakes:
    fakes = Fakes(tmp_path)
    for name in ("ROS_DISTRO", "VLA_SKIP_TORCH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(plan, "plan", fakes.plan)
    monkeypatch.setattr(plan, "_environment", lambda workspace: fakes.plan(workspace)[0])
    monkeypatch.setattr(debian, "needs_of", lambda workspace: [])
    monkeypatch.setattr(main, "check_space", lambda workspace, needed_mb: None)
    monkeypatch.setattr(main.signal, "signal", lambda number, handler: None)
    return fakes


def test_all_stages_run_once_and_in_order(fakes, tmp_path):
    assert main.main(tmp_path, ["--check"]) == 1
    assert main.main(tmp_path, []) == 0
    assert fakes.ran == ["environment", "packages", "interfaces"]
    assert main.main(tmp_path, ["--check"]) == 0
    assert main.main(tmp_path, []) == 0
    assert len(fakes.ran) == 3


def test_a_failed_build_is_continued(fakes, tmp_path, capsys):
    fakes.failing["interfaces"] = SetupError("interfaces: 'colcon' ended with exit code 1")
    assert main.main(tmp_path, []) == 1
    assert "vla: interfaces: 'colcon' ended with exit code 1" in capsys.readouterr().err
    fakes.failing.clear()
    fakes.ran.clear()
    assert main.main(tmp_path, []) == 0
    assert fakes.ran == ["interfaces"]


def test_an_interrupted_installation_begins_with_a_new_environment(fakes, tmp_path, capsys):
    fakes.failing["packages"] = KeyboardInterrupt()
    assert main.main(tmp_path, []) == 130
    assert "interrupted; run it again" in capsys.readouterr().err
    (tmp_path / ".venv" / "left over").touch()
    fakes.failing.clear()
    fakes.ran.clear()
    assert main.main(tmp_path, []) == 0
    assert fakes.ran == ["environment", "packages", "interfaces"]
    assert not (tmp_path / ".venv" / "left over").exists()


def test_force_begins_with_a_new_environment(fakes, tmp_path):
    main.main(tmp_path, [])
    fakes.ran.clear()
    assert main.main(tmp_path, ["--force"]) == 0
    assert fakes.ran == ["environment", "packages", "interfaces"]


def test_a_full_disk_is_one_sentence(fakes, tmp_path, capsys):
    fakes.failing["packages"] = OSError(errno.ENOSPC, "No space left on device")
    assert main.main(tmp_path, []) == 2
    assert "the disk is full" in capsys.readouterr().err


def test_an_environment_of_somebody_else_is_left_alone(fakes, tmp_path, capsys):
    mine = tmp_path / ".venv" / "bin" / "mine"
    mine.parent.mkdir(parents=True)
    mine.touch()
    assert main.main(tmp_path, []) == 2
    assert "was not made by ./vla: rename or remove it" in capsys.readouterr().err
    assert mine.exists()


def test_an_environment_for_the_other_kind_of_ros_is_kept_until_forced(fakes, tmp_path, capsys, monkeypatch):
    main.main(tmp_path, [])
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    monkeypatch.setenv("AMENT_PREFIX_PATH", "/opt/ros/jazzy")
    assert main.main(tmp_path, []) == 2
    assert (
        "ROS 2 is sourced now: use a shell like the one it was made in, or run ./vla setup --force"
        in capsys.readouterr().err
    )
    assert State(tmp_path / ".venv").done


def test_another_ros_is_refused(fakes, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("ROS_DISTRO", "humble")
    monkeypatch.setenv("AMENT_PREFIX_PATH", "/opt/ros/humble")
    assert main.main(tmp_path, ["--check"]) == 1
    assert main.main(tmp_path, []) == 2
    assert "found 'humble'" in capsys.readouterr().err


def test_two_at_once_take_turns(fakes, tmp_path, capfd):
    scratch = Workspace(tmp_path, uses_ros=False).scratch
    scratch.mkdir(parents=True)
    codes: list[int] = []
    with (scratch / "lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        second = threading.Thread(target=lambda: codes.append(main.main(tmp_path, [])))
        second.start()
        said = ""
        while "another ./vla is setting this workspace up; waiting for it" not in said:
            second.join(0.01)
            said += capfd.readouterr().err
        assert fakes.ran == []
    second.join()
    assert codes == [0]
    assert fakes.ran == ["environment", "packages", "interfaces"]
