"""Building with colcon: the interfaces into the environment, or, with ROS, the workspace as any other."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path

from vla.setup.debian import in_ament_index
from vla.setup.progress import Console
from vla.setup.state import digest
from vla.setup.workspace import Workspace

_INTERFACE_FOLDERS = ("src/vla_msgs", "src/interfaces_without_ros")
_PACKAGING_FILES = ("package.xml", "setup.py", "setup.cfg")
# the code is generated and moves small messages: optimising it would double the time to build it
_CMAKE_ARGUMENTS = ("-G", "Ninja", "-DBUILD_TESTING=OFF", "-DCMAKE_C_FLAGS=-O1", "-DCMAKE_CXX_FLAGS=-O0")


def interface_files(root: Path) -> list[Path]:
    """Every file that the built interfaces depend on."""
    return [path for folder in _INTERFACE_FOLDERS for path in (root / folder).rglob("*") if path.is_file()]


def workspace_files(root: Path) -> list[Path]:
    """Every file whose change asks for another ``colcon build``: interfaces and packaging. Sources are linked, not copied."""
    packaging = [path for name in _PACKAGING_FILES for path in root.glob(f"src/*/{name}")]
    return sorted({*interface_files(root), *packaging})


def installed_names(root: Path) -> list[str]:
    """The files outside of src that the package ``vla`` installs: they are linked one by one."""
    paths = [path for folder in ("launch", "config") for path in (root / folder).rglob("*") if path.is_file()]
    return sorted(str(path.relative_to(root)) for path in paths)


def build_interfaces(workspace: Workspace, console: Console) -> None:
    """Builds vla_msgs, and the stand-ins for what PyPI lacks, into the environment's own prefix.

    The ROS wheels make that prefix known to Python and to the loader, so that nothing needs to be sourced.
    """
    prefix = workspace.venv
    patch_cmake_paths(prefix / "share", sysconfig.get_paths()["include"], workspace.site_packages)
    packages = interface_packages(workspace.root)
    for package in packages:  # modules of a message that is no more
        shutil.rmtree(workspace.site_packages / package.name, ignore_errors=True)
    command = [str(prefix / "bin" / "colcon"), "--log-base", str(workspace.scratch / "colcon")]
    command += ["build", "--merge-install", "--install-base", str(prefix)]
    command += ["--build-base", str(_build_folder(workspace)), "--base-paths", *map(str, packages)]
    command += ["--event-handlers", "console_direct-", "--cmake-args", *_CMAKE_ARGUMENTS]
    console.run([*command, f"-DPython3_EXECUTABLE={workspace.python}"], _build_environment(workspace))


def interface_packages(root: Path) -> list[Path]:
    """The folders of the interface packages."""
    return sorted(path.parent for folder in _INTERFACE_FOLDERS for path in (root / folder).rglob("package.xml"))


def _build_folder(workspace: Workspace) -> Path:
    """One folder for one set of file names and one Python; the others, with what they generated, are removed."""
    names = [str(path.relative_to(workspace.root)) for path in interface_files(workspace.root)]
    base = workspace.scratch / "interfaces"
    folder = base / digest(workspace.root, [workspace.lock_file], sysconfig.get_paths()["include"], *sorted(names))
    for old in base.glob("*"):
        if old != folder:
            shutil.rmtree(old)
    return folder


def _build_environment(workspace: Workspace) -> dict[str, str]:
    prefix = str(workspace.venv)
    path = os.pathsep.join([f"{prefix}/bin", os.environ.get("PATH", os.defpath)])
    parallel = str(len(os.sched_getaffinity(0)))
    return workspace.environment() | {
        "PATH": path,
        "AMENT_PREFIX_PATH": prefix,
        "CMAKE_PREFIX_PATH": prefix,
        "CMAKE_BUILD_PARALLEL_LEVEL": parallel,
        "MAKEFLAGS": f"-j{parallel}",  # else colcon adds a load limit that starves the build on a busy machine
        "COLCON_HOME": str(workspace.scratch / "colcon_home"),  # without the user's defaults
    }


def patch_cmake_paths(share: Path, include: str, site_packages: Path) -> int:
    """Replaces the paths of the machine that built the ROS wheels by those of this one. Returns how many files changed.

    Args:
        share: the folder of the wheels' CMake files.
        include: the folder of Python.h.
        site_packages: where numpy is.
    """
    tag = f"{sys.version_info.major}.{sys.version_info.minor}"
    built_with = f"/opt/python/cp{tag.replace('.', '')}-cp{tag.replace('.', '')}"
    changed = 0
    for path in share.rglob("*.cmake"):
        old = path.read_text()
        new = old.replace(f"{built_with}/include/python{tag}", include)
        new = new.replace(f"{built_with}/lib/python{tag}/site-packages", str(site_packages))
        if new != old:
            path.write_text(new)
            changed += 1
    return changed


def build_workspace(workspace: Workspace, console: Console) -> None:
    """Builds the whole workspace over the sourced ROS, its scripts bound to the environment's Python.

    Where ROS has the packages that src/interfaces_without_ros stands in for, those are not built; and it always has: the
    set-up asks for their Debian packages.
    """
    command = [str(workspace.python), "-m", "colcon", "build", "--symlink-install", "--base-paths", "src"]
    console.run([*command, "--event-handlers", "console_direct-"], cwd=workspace.root)


def interfaces_are_there(workspace: Workspace) -> bool:
    """Whether the build's result still is where it was put."""
    if workspace.uses_ros:
        return (workspace.root / "install" / "local_setup.bash").exists()
    return in_ament_index("vla_msgs", str(workspace.venv))
