"""Building the interfaces into the environment, up to the call of colcon itself."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vla.setup import interfaces
from vla.setup.interfaces import build_interfaces, build_workspace, interface_packages, patch_cmake_paths
from vla.setup.workspace import Workspace

TAG = f"{sys.version_info.major}.{sys.version_info.minor}"
BUILT_WITH = f"/opt/python/cp{TAG.replace('.', '')}-cp{TAG.replace('.', '')}"


class Recorder:
    """Takes the commands that the console is to run."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []
        self.environments: list[dict[str, str]] = []

    def run(self, command, environment=None, cwd=None) -> None:
        self.commands.append(list(command))
        self.environments.append(environment)


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    for name in ("vla_msgs", "interfaces_without_ros/control_msgs"):
        (tmp_path / "src" / name / "msg").mkdir(parents=True)
        (tmp_path / "src" / name / "package.xml").touch()
        (tmp_path / "src" / name / "msg" / "A.msg").touch()
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "pypi.lock").touch()
    return Workspace(tmp_path, uses_ros=False)


def test_the_paths_of_the_wheels_become_those_of_this_machine(tmp_path):
    cmake = tmp_path / "rosidl_generator_py" / "cmake" / "export.cmake"
    cmake.parent.mkdir(parents=True)
    cmake.write_text(
        f'set(a "{BUILT_WITH}/include/python{TAG};{BUILT_WITH}/lib/python{TAG}/site-packages/numpy/include")'
    )
    other = tmp_path / "other.cmake"
    other.write_text("project(other)")
    assert patch_cmake_paths(tmp_path, "/usr/include/python", Path("/venv/site-packages")) == 1
    assert cmake.read_text() == 'set(a "/usr/include/python;/venv/site-packages/numpy/include")'
    assert patch_cmake_paths(tmp_path, "/usr/include/python", Path("/venv/site-packages")) == 0


def test_stand_ins_are_named_one_by_one_since_colcon_passes_their_folder_over(workspace):
    recorder = Recorder()
    build_interfaces(workspace, recorder)
    command = recorder.commands[0]
    begin, end = command.index("--base-paths"), command.index("--event-handlers")
    assert command[begin + 1 : end] == [
        str(workspace.root / "src/interfaces_without_ros/control_msgs"),
        str(workspace.root / "src/vla_msgs"),
    ]
    assert recorder.environments[0]["AMENT_PREFIX_PATH"] == str(workspace.venv)


def test_a_new_set_of_files_is_built_in_a_new_folder_and_the_old_one_goes(workspace):
    recorder = Recorder()

    def build_folder() -> Path:
        build_interfaces(workspace, recorder)
        command = recorder.commands[-1]
        folder = Path(command[command.index("--build-base") + 1])
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    first = build_folder()
    (workspace.root / "src/vla_msgs/msg/A.msg").write_text("float64 value")
    assert build_folder() == first  # the build system sees for itself what changed
    (workspace.root / "src/vla_msgs/msg/B.msg").touch()
    second = build_folder()
    assert second != first
    assert not first.exists()
    assert second.exists()


def test_modules_of_removed_messages_do_not_stay(workspace):
    stale = workspace.site_packages / "vla_msgs" / "msg" / "_gone.py"
    stale.parent.mkdir(parents=True)
    stale.touch()
    build_interfaces(workspace, Recorder())
    assert not stale.exists()


def test_beside_ros_stand_ins_are_left_to_colcon_which_passes_them_over(workspace):
    recorder = Recorder()
    build_workspace(Workspace(workspace.root, uses_ros=True), recorder)
    assert "interfaces_without_ros" not in " ".join(recorder.commands[0])
    assert (Path(__file__).parents[3] / "src/interfaces_without_ros/COLCON_IGNORE").exists()


def test_without_ros_nothing_foreign_is_seen(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    assert "PYTHONPATH" not in Workspace(tmp_path, uses_ros=False).environment()
    assert Workspace(tmp_path, uses_ros=True).environment()["PYTHONPATH"] == "/somewhere"


def test_the_real_interface_packages_are_found():
    names = {path.name for path in interface_packages(Path(__file__).parents[3])}
    assert names == {"vla_msgs", "control_msgs", "controller_manager_msgs", "franka_msgs"}
    assert interfaces.interface_files(Path(__file__).parents[3])
