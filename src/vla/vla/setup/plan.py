"""The stages of a set-up: what each does, and the input whose change makes it necessary again."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

from vla.setup import interfaces, packages
from vla.setup.progress import Console
from vla.setup.state import State, digest
from vla.setup.workspace import Workspace

VENV = "environment"


@dataclass(frozen=True)
class Stage:
    """A part of the set-up.

    Attributes:
        name: what it brings.
        key: changes when the stage has to be done again.
        run: does it.
        there: whether its result still exists.
        repeatable: cut in the middle, it can simply be done again; otherwise the whole environment is made anew.
    """

    name: str
    key: str
    run: Callable[[Workspace, Console], None]
    there: bool = True
    repeatable: bool = True


def plan(workspace: Workspace) -> list[Stage]:
    """All stages in order."""
    stages = [_environment(workspace)]
    if not packages.skips_torch(os.environ):
        key = digest(workspace.root, [workspace.requirements / "torch.in"])
        stages.append(Stage("torch", key, packages.install_torch, repeatable=False))
    stages.append(_packages(workspace))
    if workspace.uses_ros:
        names = interfaces.installed_names(workspace.root)
        key = digest(workspace.root, interfaces.workspace_files(workspace.root), *names)
        there = interfaces.interfaces_are_there(workspace)
        return [*stages, Stage("workspace (colcon build)", key, interfaces.build_workspace, there)]
    key = digest(workspace.root, [*interfaces.interface_files(workspace.root), workspace.requirements / "ros.in"])
    there = interfaces.interfaces_are_there(workspace)
    return [*stages, Stage("interfaces", key, interfaces.build_interfaces, there), _import_path(workspace)]


def pending(stages: list[Stage], state: State) -> list[Stage]:
    """The stages that are still to be done, or to be done again."""
    return [stage for stage in stages if state.done.get(stage.name) != stage.key or not stage.there]


def must_start_over(workspace: Workspace, state: State) -> bool:
    """Whether the environment cannot be completed: half made, moved, of another Python, or with a stage cut in the middle."""
    cut = [stage for stage in plan(workspace) if stage.name == state.running and not stage.repeatable]
    return bool(cut) or state.done.get(VENV) != _environment(workspace).key or not workspace.python.exists()


def _environment(workspace: Workspace) -> Stage:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    kind = "beside ROS" if workspace.uses_ros else "with ROS from PyPI"
    key = f"Python {version} {kind} in {workspace.root}"
    return Stage(VENV, key, packages.make_venv, workspace.python.exists(), repeatable=False)


def _packages(workspace: Workspace) -> Stage:
    files = [*workspace.requirements.glob("*.in"), workspace.lock_file]
    return Stage("packages", digest(workspace.root, files), packages.install_packages, repeatable=False)


def _import_path(workspace: Workspace) -> Stage:
    """Puts the workspace's packages on the import path, so that an edit needs no installation."""
    target = workspace.site_packages / "vla-workspace.pth"
    lines = "".join(f"{folder}\n" for folder in workspace.packages())

    def write(workspace: Workspace, console: Console) -> None:
        target.write_text(lines)

    return Stage("import path", lines, write, target.exists())
