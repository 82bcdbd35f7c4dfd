"""The workspace on this machine: where things are, and which ROS it is set up for."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vla.setup.errors import UnsuitableMachine

ROS_DISTRO = "jazzy"


@dataclass(frozen=True)
class Workspace:
    """A checkout of the repository and what the set-up makes in it.

    Attributes:
        root: the checkout.
        uses_ros: whether the ROS 2 of the machine is used, instead of the one from PyPI.
    """

    root: Path
    uses_ros: bool

    @property
    def venv(self) -> Path:
        return self.root / ".venv"

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    @property
    def site_packages(self) -> Path:
        return self.venv / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"

    @property
    def requirements(self) -> Path:
        return self.root / "requirements"

    @property
    def lock_file(self) -> Path:
        """The exact versions, as constraints for pip."""
        return self.requirements / ("jazzy.lock" if self.uses_ros else "pypi.lock")

    @property
    def scratch(self) -> Path:
        """The set-up's own folder: log, lock, build trees."""
        return self.root / "build" / "setup"

    @property
    def log(self) -> Path:
        return self.scratch / "setup.log"

    def environment(self) -> dict[str, str]:
        """The environment variables for pip and for builds: without those that would show them other packages.

        With ROS these are the way in which ROS shows its own.
        """
        foreign = (
            () if self.uses_ros else ("PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "_ROS_WHEELS_BOOTSTRAP_COMPLETE")
        )
        return {name: value for name, value in os.environ.items() if name not in foreign}

    def packages(self) -> list[Path]:
        """The folders of the workspace's Python packages, to be put on the import path."""
        return sorted(path.parent for path in self.root.glob("src/*/setup.py"))


def uses_ros(environment: Mapping[str, str], machine: str = platform.machine()) -> bool:
    """Whether a ROS 2 Jazzy is sourced in this environment.

    Raises:
        UnsuitableMachine: another ROS is sourced, or none is and PyPI has none for this processor.
    """
    distro = environment.get("ROS_DISTRO", "")
    if not (distro and environment.get("AMENT_PREFIX_PATH")):
        if machine != "x86_64":
            raise UnsuitableMachine(
                f"expected an x86-64 processor or a sourced ROS 2 {ROS_DISTRO.capitalize()}, found {machine} without one: "
                f"ROS 2 from PyPI exists only for x86-64; install ROS 2 {ROS_DISTRO.capitalize()} and source its setup.bash"
            )
        return False
    if distro != ROS_DISTRO:
        raise UnsuitableMachine(
            f"expected ROS 2 {ROS_DISTRO.capitalize()}, or none, to be sourced, found '{distro}': use a shell that "
            f"sources /opt/ros/{ROS_DISTRO}/setup.bash, or one that sources no ROS"
        )
    return True
