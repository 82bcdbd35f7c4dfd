"""What a set-up does again after a change, and what it leaves alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from vla.setup import plan
from vla.setup.state import State
from vla.setup.workspace import Workspace


@pytest.fixture
def workspace(tmp_path, monkeypatch) -> Workspace:
    """A small checkout that is completely set up."""
    monkeypatch.delenv("VLA_SKIP_TORCH", raising=False)
    files = {
        "requirements/suite.in": "numpy>=1",
        "requirements/ros.in": "ros-rclpy==7.1.6",
        "requirements/torch.in": "torch==2.13.0",
        "requirements/pypi.lock": "numpy==2.4.6",
        "requirements/jazzy.lock": "numpy==1.26.4",
        "src/vla_msgs/package.xml": "<package/>",
        "src/vla_msgs/msg/ActionChunk.msg": "float64[] actions",
        "src/vla_core/setup.py": "",
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    workspace = Workspace(tmp_path, uses_ros=False)
    pretend_done(workspace)
    return workspace


def pretend_done(workspace: Workspace) -> None:
    """Leaves behind what a complete set-up leaves behind."""
    marker = workspace.venv / "share/ament_index/resource_index/packages/vla_msgs"
    for path in (workspace.python, marker, workspace.site_packages / "vla-workspace.pth"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    state = State(workspace.venv)
    for stage in plan.plan(workspace):
        state.begin(stage.name)
        state.finish(stage.name, stage.key)


def to_do(workspace: Workspace) -> list[str]:
    return [stage.name for stage in plan.pending(plan.plan(workspace), State(workspace.venv))]


def starts_over(workspace: Workspace) -> bool:
    return plan.must_start_over(workspace, State(workspace.venv))


def test_nothing_is_done_twice(workspace):
    assert to_do(workspace) == []
    assert not starts_over(workspace)


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("src/vla_msgs/msg/ActionChunk.msg", ["interfaces"]),
        ("src/vla_msgs/msg/New.msg", ["interfaces"]),
        ("requirements/suite.in", ["packages"]),
        ("requirements/pypi.lock", ["packages"]),
        ("requirements/ros.in", ["packages", "interfaces"]),
        ("requirements/torch.in", ["torch", "packages"]),
        ("requirements/jazzy.lock", []),
        ("src/vla_core/vla_core/new.py", []),
        ("src/vla_new/setup.py", ["import path"]),
    ],
)
def test_a_change_redoes_only_its_own_part(workspace, file, stages):
    path = workspace.root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("changed")
    assert to_do(workspace) == stages
    assert not starts_over(workspace)


def test_a_removed_message_is_built_away(workspace):
    (workspace.root / "src/vla_msgs/msg/ActionChunk.msg").unlink()
    assert to_do(workspace) == ["interfaces"]


def test_touching_a_file_changes_nothing(workspace):
    (workspace.root / "src/vla_msgs/msg/ActionChunk.msg").touch()
    assert to_do(workspace) == []


@pytest.mark.parametrize("stage", ["environment", "torch", "packages"])
def test_an_installation_cut_in_the_middle_begins_anew(workspace, stage):
    State(workspace.venv).begin(stage)
    assert starts_over(workspace)


def test_a_build_cut_in_the_middle_goes_on(workspace):
    State(workspace.venv).begin("interfaces")
    assert to_do(workspace) == ["interfaces"]
    assert not starts_over(workspace)


def test_a_moved_checkout_begins_anew(workspace, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(workspace.root, moved, ignore=shutil.ignore_patterns("elsewhere"))
    assert starts_over(Workspace(moved, uses_ros=False))


def test_an_environment_whose_python_is_gone_begins_anew(workspace):
    workspace.python.unlink()
    assert starts_over(workspace)


def test_removed_results_are_made_again(workspace):
    shutil.rmtree(workspace.venv / "share")
    (workspace.site_packages / "vla-workspace.pth").unlink()
    assert to_do(workspace) == ["interfaces", "import path"]


def test_a_state_cut_short_begins_anew(workspace):
    (workspace.venv / "vla-setup.json").write_text('{"done": {')
    assert starts_over(workspace)


def test_torch_is_left_out_on_demand_and_brought_when_wanted_again(workspace, monkeypatch):
    monkeypatch.setenv("VLA_SKIP_TORCH", "1")
    assert "torch" not in [stage.name for stage in plan.plan(workspace)]
    monkeypatch.setenv("VLA_SKIP_TORCH", "0")
    assert "torch" in [stage.name for stage in plan.plan(workspace)]


def test_beside_ros_the_workspace_is_built_as_any_other(workspace):
    names = [stage.name for stage in plan.plan(Workspace(workspace.root, uses_ros=True))]
    assert names == ["environment", "torch", "packages", "workspace (colcon build)"]


def test_beside_ros_a_new_launch_file_asks_for_another_build(workspace):
    beside_ros = Workspace(workspace.root, uses_ros=True)
    shutil.rmtree(workspace.venv)
    (workspace.root / "install").mkdir()
    (workspace.root / "install/local_setup.bash").touch()
    pretend_done(beside_ros)
    assert to_do(beside_ros) == []
    launch = workspace.root / "launch/bringup.launch.py"
    launch.parent.mkdir()
    launch.touch()
    assert to_do(beside_ros) == ["workspace (colcon build)"]


def test_the_import_path_names_every_python_package(workspace):
    Path(workspace.root / "src/vla_sim").mkdir()
    Path(workspace.root / "src/vla_sim/setup.py").touch()
    stage = plan.plan(workspace)[-1]
    stage.run(workspace, None)
    lines = (workspace.site_packages / "vla-workspace.pth").read_text().splitlines()
    assert lines == [str(workspace.root / "src/vla_core"), str(workspace.root / "src/vla_sim")]
