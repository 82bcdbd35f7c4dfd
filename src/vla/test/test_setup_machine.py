"""Which machines can be set up, and what the others are told."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

import pytest

from vla.setup import debian
from vla.setup.debian import Need, advice, in_ament_index, install_missing, needs_of
from vla.setup.errors import UnsuitableMachine
from vla.setup.packages import check_space, constraints_beside
from vla.setup.progress import Console
from vla.setup.workspace import Workspace, uses_ros

JAZZY = {"ROS_DISTRO": "jazzy", "AMENT_PREFIX_PATH": "/opt/ros/jazzy"}


@pytest.fixture
def console(tmp_path) -> Console:
    (tmp_path / "log").touch()
    return Console(tmp_path / "log", stream=io.StringIO())


def need(package: str, present: bool, required: bool = True) -> Need:
    return Need(package, "to build the interfaces", lambda: present, required)


def test_without_ros_the_one_from_pypi_is_used():
    assert not uses_ros({}, "x86_64")


def test_a_ros_that_is_named_but_not_sourced_is_not_used():
    assert not uses_ros({"ROS_DISTRO": "humble"}, "x86_64")


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_a_sourced_jazzy_is_used_on_any_processor(machine):
    assert uses_ros(JAZZY, machine)


def test_another_processor_without_ros_is_told_so():
    with pytest.raises(
        UnsuitableMachine, match=r"expected an x86-64 processor or a sourced ROS 2 Jazzy, found aarch64"
    ):
        uses_ros({}, "aarch64")


def test_another_ros_is_told_so():
    with pytest.raises(UnsuitableMachine, match="expected ROS 2 Jazzy, or none, to be sourced, found 'humble'"):
        uses_ros({**JAZZY, "ROS_DISTRO": "humble"}, "x86_64")


def test_nothing_is_said_where_nothing_is_missing(console):
    install_missing([need("g++", True)], console, is_root=False)


def test_missing_packages_are_named_in_one_command(console):
    with pytest.raises(UnsuitableMachine, match=r"install with: sudo apt-get install g\+\+ python3.11-dev$"):
        install_missing([need("g++", False), need("make", True), need("python3.11-dev", False)], console, is_root=False)


def test_what_is_not_required_is_only_mentioned(tmp_path):
    stream = io.StringIO()
    install_missing([need("libegl1", False, required=False)], Console(tmp_path / "log", stream=stream), is_root=False)
    assert stream.getvalue().endswith("install with: sudo apt-get install libegl1\n")


def test_root_without_apt_is_told_as_anyone(console, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda program: None)
    with pytest.raises(UnsuitableMachine, match="sudo apt-get install cmake"):
        install_missing([need("cmake", False)], console, is_root=True)


def test_root_installs_what_is_missing(console, tmp_path, monkeypatch):
    """With a stand-in for apt-get that makes what it is asked for."""
    apt = tmp_path / "bin" / "apt-get"
    apt.parent.mkdir()
    apt.write_text(f'#!/bin/sh\ncase "$*" in *install*) touch {tmp_path}/installed;; esac\n')
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{apt.parent}:{os.environ['PATH']}")
    install_missing([Need("g++", "", (tmp_path / "installed").exists)], console, is_root=True)
    assert (tmp_path / "installed").exists()
    assert "install --no-install-recommends g++" in (tmp_path / "log").read_text()


def test_without_ros_the_build_tools_come_from_pypi(tmp_path):
    names = {one.package for one in needs_of(Workspace(tmp_path, uses_ros=False))}
    assert names >= {"g++", "libegl1"}
    assert not names & {"cmake", "make"}
    assert not any(name.startswith("ros-") for name in names)


def test_beside_ros_its_missing_packages_are_named(tmp_path, monkeypatch):
    """A prefix that holds everything but two interface packages."""
    index = tmp_path / "jazzy/share/ament_index/resource_index/packages"
    index.mkdir(parents=True)
    for name in set(debian._ROS_PACKAGES) - {"control_msgs", "controller_manager_msgs"}:
        (index / name).touch()
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"/nowhere:{tmp_path / 'jazzy'}")
    missing = [one for one in needs_of(Workspace(tmp_path, uses_ros=True)) if not one.present()]
    named = [one.package for one in missing if one.package.startswith("ros-")]
    assert named == ["ros-jazzy-control-msgs", "ros-jazzy-controller-manager-msgs"]
    assert "sudo apt-get install" in advice(missing)


def test_the_ament_index_is_looked_up_in_every_prefix(tmp_path):
    marker = tmp_path / "b/share/ament_index/resource_index/packages/rclpy"
    marker.parent.mkdir(parents=True)
    marker.touch()
    assert in_ament_index("rclpy", f"{tmp_path / 'a'}:{tmp_path / 'b'}")
    assert not in_ament_index("rclpy", f"{tmp_path / 'a'}")
    assert not in_ament_index("rclpy", "")


def test_a_disk_that_is_too_small_is_told_beforehand(tmp_path):
    with pytest.raises(UnsuitableMachine, match=r"expected at least 999999999 MB free .* found \d+ MB"):
        check_space(Workspace(tmp_path, uses_ros=False), 999_999_999)


def test_beside_ros_the_machine_keeps_what_it_has():
    lock = ["# comment", "numpy==1.26.4", "pydantic-core==2.50.4", "PyYAML==6.0.3", "mujoco==4.0.0"]
    present = {"numpy": "1.26.3", "pydantic_core": "2.14", "pyyaml": "6.0.1", "unrelated": "1"}
    assert constraints_beside(lock, present) == ["# comment", "mujoco==4.0.0", "numpy==1.26.3"]


def test_the_lock_files_are_exact():
    for lock in Path(__file__).parents[3].glob("requirements/*.lock"):
        pins = [line.partition(" ;")[0] for line in lock.read_text().splitlines() if not line.startswith("#")]
        assert len(pins) > 50
        assert [pin for pin in pins if pin.count("==") != 1] == []
