"""What the set-up needs from the system, by the names of its Debian and Ubuntu packages."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from vla.setup.errors import SetupError, UnsuitableMachine
from vla.setup.progress import Console
from vla.setup.workspace import Workspace

_ROS_PACKAGES = (
    "rclpy",
    "std_msgs",
    "sensor_msgs",
    "trajectory_msgs",
    "diagnostic_msgs",
    "std_srvs",
    "control_msgs",
    "controller_manager_msgs",
    "franka_msgs",
    "geometry_msgs",
    "nav_msgs",
    "lifecycle_msgs",
    "rosidl_default_generators",
    "ament_cmake",
    "launch_ros",
)


@dataclass(frozen=True)
class Need:
    """Something that a Debian package brings.

    Attributes:
        package: the Debian package.
        purpose: what does not work without it.
        present: finds out whether it is there, however it came.
        required: whether the set-up cannot be completed without it.
    """

    package: str
    purpose: str
    present: Callable[[], bool]
    required: bool = True


def needs_of(workspace: Workspace) -> list[Need]:
    """Everything that this workspace needs from the system."""
    return [*_build_needs(workspace), *(_ros_needs() if workspace.uses_ros else ()), *GRAPHICS]


def _build_needs(workspace: Workspace) -> list[Need]:
    purpose = "to build the interfaces"
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    headers = Path(sysconfig.get_paths()["include"], "Python.h")
    needs = [
        Need(f"{python}-venv", "to make the environment", lambda: find_spec("ensurepip") is not None),
        Need("g++", purpose, lambda: _any_on_path("g++", "c++", "clang++")),
        Need(f"{python}-dev", purpose, headers.exists),
    ]
    if workspace.uses_ros:  # without ROS both come from PyPI
        needs += [Need("cmake", purpose, lambda: _on_path("cmake")), Need("make", purpose, lambda: _on_path("make"))]
    return needs


def _ros_needs() -> list[Need]:
    needs = [Need("python3-colcon-common-extensions", "to build the workspace", lambda: _on_path("colcon"))]
    prefixes = os.environ["AMENT_PREFIX_PATH"]
    for name in _ROS_PACKAGES:
        package = f"ros-jazzy-{name.replace('_', '-')}"
        needs.append(Need(package, "of ROS 2", partial(in_ament_index, name, prefixes)))
    return needs


def in_ament_index(package: str, prefix_path: str) -> bool:
    """Whether a ROS package is in one of the prefixes (separated by colons)."""
    marker = Path("share/ament_index/resource_index/packages", package)
    return any((Path(prefix) / marker).exists() for prefix in prefix_path.split(os.pathsep) if prefix)


def _on_path(program: str) -> bool:
    return shutil.which(program) is not None


def _any_on_path(*programs: str) -> bool:
    return any(_on_path(program) for program in programs)


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _has_egl_driver() -> bool:
    """Mesa's software renderer, or NVIDIA's driver."""
    folders = [*Path("/usr").glob("lib*/dri"), *Path("/usr").glob("lib/*/dri")]
    return any((folder / "swrast_dri.so").exists() for folder in folders) or any(
        Path("/usr/share/glvnd/egl_vendor.d").glob("*nvidia*")
    )


GRAPHICS = (
    Need("libegl1", "for the simulated cameras", lambda: _loads("libEGL.so.1"), required=False),
    Need(
        "libopengl0",
        "for the simulated cameras",
        lambda: _loads("libOpenGL.so.0") or _loads("libGL.so.1"),
        required=False,
    ),
    Need("libgl1-mesa-dri", "for the simulated cameras", _has_egl_driver, required=False),
)


def install_missing(needs: Sequence[Need], console: Console, is_root: bool) -> None:
    """Installs the Debian packages that are missing, or says which.

    Raises:
        UnsuitableMachine: a required one is missing and this is not root, or this machine has no apt.
        SetupError: a required one could not be installed.
    """
    missing = [need for need in needs if not need.present()]
    if missing and is_root and _on_path("apt-get"):
        with console.stage(f"Debian packages {' '.join(need.package for need in missing)}"):
            problem = _install([need.package for need in missing], console)
        missing = [need for need in missing if not need.present()]
        if problem and any(need.required for need in missing):
            raise problem
    if any(need.required for need in missing):
        raise UnsuitableMachine(advice(missing))
    if missing:
        console.note(advice(missing))


def advice(missing: Sequence[Need]) -> str:
    """What is missing, what for, and the one command that brings it."""
    purposes = ", ".join(sorted({need.purpose for need in missing}))
    names = " ".join(need.package for need in missing)
    return f"missing {purposes}: {names}; install with: sudo apt-get install {names}"


def _install(packages: Sequence[str], console: Console) -> SetupError | None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    apt = ["apt-get", "-o", "DPkg::Lock::Timeout=120", "-y"]
    try:
        console.run([*apt, "update"], environment)
        console.run([*apt, "install", "--no-install-recommends", *packages], environment)
    except UnsuitableMachine:
        raise
    except SetupError as error:
        return error
    return None
