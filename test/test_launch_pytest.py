"""A launch file within launch_pytest, as in the tests of a package that uses the suite."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest
from launching import launch_file

from vla.ros.operator import Operator

launch_pytest = pytest.importorskip(
    "launch_pytest", reason="needs ROS's launch_pytest, which PyPI does not have: install ros-jazzy-launch-pytest"
)

from launch import LaunchDescription  # noqa: E402
from launch.actions import IncludeLaunchDescription, RegisterEventHandler, SetEnvironmentVariable  # noqa: E402
from launch.event_handlers import OnProcessExit  # noqa: E402
from launch.launch_description_sources import PythonLaunchDescriptionSource  # noqa: E402

pytestmark = pytest.mark.ros


@pytest.fixture(autouse=True)
def _files_in_a_folder_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path))


@launch_pytest.fixture
def mock_robot() -> tuple[LaunchDescription, dict[str, int]]:
    """A mock robot, and the exit statuses of its processes, as they end."""
    statuses: dict[str, int] = {}
    source = PythonLaunchDescriptionSource(str(launch_file("bringup")))
    description = [
        SetEnvironmentVariable("PYTHONPATH", os.pathsep.join(path for path in sys.path if path)),
        RegisterEventHandler(
            OnProcessExit(on_exit=lambda event, _: statuses.update({event.process_name: event.returncode}))
        ),
        IncludeLaunchDescription(source, launch_arguments=[("robot", "mock"), ("seed", "7"), ("policy", "fake")]),
        launch_pytest.actions.ReadyToTest(),
    ]
    return LaunchDescription(description), statuses


@pytest.mark.launch(fixture=mock_robot)
def test_a_robot_is_there_during_the_test_and_ends_well_after_it(mock_robot):
    _, statuses = mock_robot
    with Operator() as operator:
        assert operator.sim.seed == 7
        assert operator.command.state == operator.command.READY
        assert operator.policy.message == ""
    assert statuses == {}
    yield
    assert statuses == {"sim_node-1": 0, "command_node-2": 0, "policy_node-3": 0}
