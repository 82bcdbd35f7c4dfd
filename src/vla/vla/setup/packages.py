"""The Python environment: made, filled with torch first and then with everything else, at pinned versions."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path

from vla.setup.errors import UnsuitableMachine
from vla.setup.progress import Console
from vla.setup.workspace import Workspace

TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
_INDEX_TIMEOUT_S = 5.0
_NEEDED_MB = 1500
_TORCH_CPU_MB = 1000
_TORCH_CUDA_MB = 7000
NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")

# run inside the environment: which distributions its Python sees, its own and the system's
_LIST_DISTRIBUTIONS = (
    "import importlib.metadata as m, json;"
    "print(json.dumps({d.metadata['Name']: d.version for d in m.distributions() if d.metadata['Name']}))"
)


def skips_torch(environment: Mapping[str, str]) -> bool:
    """Whether the user wants no torch here: a robot's computer that only records and executes."""
    return environment.get("VLA_SKIP_TORCH", "0") not in ("", "0")


def make_venv(workspace: Workspace, console: Console) -> None:
    """Makes the environment with pip in it; with ROS it sees the system's packages."""
    options = ["--system-site-packages"] if workspace.uses_ros else []
    console.run([sys.executable, "-m", "venv", *options, str(workspace.venv)], workspace.environment())


def install_torch(workspace: Workspace, console: Console) -> None:
    """Installs torch and what it needs: the CUDA build where there is an NVIDIA driver, else the CPU build if it can be had."""
    index = []
    if not NVIDIA_DRIVER.exists() and _answers(TORCH_CPU_INDEX):
        index = ["--extra-index-url", TORCH_CPU_INDEX]
    files = ["-r", str(workspace.requirements / "torch.in"), "-c", str(_constraints(workspace))]
    console.run([*_pip_install(workspace), *index, *files], workspace.environment())


def install_packages(workspace: Workspace, console: Console) -> None:
    """Installs everything else; with ROS, only what the machine does not have yet."""
    names = ["suite.in"] if workspace.uses_ros else ["suite.in", "ros.in"]
    if not skips_torch(os.environ):
        names.append("torch.in")  # is there already; a changed pin of what it needs is brought up to date
    files = [argument for name in names for argument in ("-r", str(workspace.requirements / name))]
    console.run([*_pip_install(workspace), *files, "-c", str(_constraints(workspace))], workspace.environment())


def _pip_install(workspace: Workspace) -> list[str]:
    # compiling everything costs more than the modules in use do when they are first imported
    return [str(workspace.python), "-m", "pip", "install", "--no-input", "--no-compile", "--progress-bar", "off"]


def _constraints(workspace: Workspace) -> Path:
    """The lock file; with ROS, a copy of it that leaves the machine's own packages alone."""
    if not workspace.uses_ros:
        return workspace.lock_file
    answer = subprocess.run(
        [str(workspace.python), "-c", _LIST_DISTRIBUTIONS], check=True, capture_output=True, text=True
    )
    present = {
        name: version
        for name, version in json.loads(answer.stdout).items()
        if not _is_in(workspace.site_packages, name, version)
    }
    path = workspace.scratch / "constraints.txt"
    path.write_text("\n".join(constraints_beside(workspace.lock_file.read_text().splitlines(), present)) + "\n")
    return path


def _is_in(site_packages: Path, name: str, version: str) -> bool:
    """Whether the environment itself holds a distribution."""
    wanted = f"{_normalised(name)}-{version}"
    return any(_normalised(path.stem) == wanted for path in site_packages.glob("*.dist-info"))


def constraints_beside(lock: Iterable[str], present: Mapping[str, str]) -> list[str]:
    """The lock file's lines, without the distributions that the machine has.

    numpy is held at the machine's version: ROS's compiled modules (cv_bridge) work only with the one they were built for.

    Args:
        lock: lines ``name==version``.
        present: distribution name to version, of what the machine has.
    """
    names = {_normalised(name) for name in present}
    kept = [line for line in lock if _normalised(line.partition("==")[0]) not in names]
    return kept + [f"{name}=={version}" for name, version in present.items() if _normalised(name) == "numpy"]


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_INDEX_TIMEOUT_S):
            return True
    except (urllib.error.URLError, OSError):
        return False


def needed_mb() -> int:
    """How much the environment and its build take on the disk [MB], with some room to spare."""
    if skips_torch(os.environ):
        return _NEEDED_MB
    return _NEEDED_MB + (_TORCH_CUDA_MB if NVIDIA_DRIVER.exists() else _TORCH_CPU_MB)


def check_space(workspace: Workspace, needed_mb: int) -> None:
    """Checks that the environment will fit.

    Raises:
        UnsuitableMachine: it will not.
    """
    free_mb = shutil.disk_usage(workspace.root).free >> 20
    if free_mb < needed_mb:
        raise UnsuitableMachine(
            f"expected at least {needed_mb} MB free for the environment, found {free_mb} MB in {workspace.root}: make room"
        )
