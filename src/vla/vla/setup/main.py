"""The set-up as a program: finds out what is missing, does it under a lock, and says how it ended."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from vla.setup import debian, plan
from vla.setup.errors import SetupError, UnsuitableMachine
from vla.setup.packages import check_space, needed_mb
from vla.setup.progress import Console, disk_full
from vla.setup.state import State
from vla.setup.workspace import Workspace, uses_ros

INTERRUPTED = 130


def main(root: Path, arguments: Sequence[str]) -> int:
    """Sets the workspace up. Returns the exit code: 0 done, 1 a stage failed, 2 the machine is unsuitable, 130 interrupted.

    Args:
        root: the checkout.
        arguments: ``--check`` only tells (0 or 1) whether it is done; ``--force`` begins with a new environment.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        if "--check" in arguments:
            return 0 if is_ready(root) else 1
        set_up(Workspace(root, uses_ros(os.environ)), force="--force" in arguments)
        return 0
    except KeyboardInterrupt:
        return _say("interrupted; run it again and it goes on where it stopped", INTERRUPTED)
    except SetupError as error:
        return _say(str(error), error.exit_code)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return _say(disk_full(root) if full else str(error), UnsuitableMachine.exit_code if full else 1)


def is_ready(root: Path) -> bool:
    """Whether nothing is to be done."""
    try:
        workspace = Workspace(root, uses_ros(os.environ))
        state = State(workspace.venv)
    except SetupError:
        return False  # the set-up itself says why
    return not plan.must_start_over(workspace, state) and not plan.pending(plan.plan(workspace), state)


def set_up(workspace: Workspace, force: bool = False) -> None:
    """Does what is still to be done.

    Raises:
        SetupError: a stage failed.
        UnsuitableMachine: the machine lacks something that only its owner can bring.
    """
    workspace.scratch.mkdir(parents=True, exist_ok=True)
    with _lock(workspace) as held:
        _check_owner(workspace, force)
        console = Console(workspace.log, held=(held,))
        if force or plan.must_start_over(workspace, State(workspace.venv)):
            shutil.rmtree(workspace.venv, ignore_errors=True)
            check_space(workspace, needed_mb())
        state = State(workspace.venv)
        stages = plan.pending(plan.plan(workspace), state)
        if not stages:
            return
        console.note(f"setting up {workspace.root} (details: {workspace.log})")
        debian.install_missing(debian.needs_of(workspace), console, is_root=os.geteuid() == 0)
        for number, stage in enumerate(stages, start=1):
            with console.stage(f"[{number}/{len(stages)}] {stage.name}"):
                state.begin(stage.name)
                stage.run(workspace, console)
                state.finish(stage.name, stage.key)


def _check_owner(workspace: Workspace, force: bool) -> None:
    """Refuses to remove an environment that this set-up did not make, or that it made for the other kind of ROS."""
    state = State(workspace.venv)
    if workspace.venv.exists() and any(workspace.venv.iterdir()) and not state.exists:
        raise UnsuitableMachine(f"{workspace.venv} was not made by ./vla: rename or remove it")
    made_for = state.done.get(plan.VENV, "")
    if made_for and not force and ("beside ROS" in made_for) != workspace.uses_ros:
        now = "sourced" if workspace.uses_ros else "not sourced"
        raise UnsuitableMachine(
            f"{workspace.venv} was made as '{made_for}', and ROS 2 is {now} now: "
            "use a shell like the one it was made in, or run ./vla setup --force"
        )


@contextmanager
def _lock(workspace: Workspace) -> Iterator[int]:
    """Lets one set-up at a time work here. Programs that inherit the file keep it locked until they end."""
    with (workspace.scratch / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another ./vla is setting this workspace up; waiting for it", 0)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _say(text: str, code: int) -> int:
    print(f"vla: {text}", file=sys.stderr, flush=True)
    return code
