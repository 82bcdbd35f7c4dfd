"""The command line itself: help at once, exit codes, one clear message for an error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vla import cli, commands

COMMANDS = """
import typer

from vla_core.errors import VlaError

app = typer.Typer()


@app.command()
def planted(how: str = typer.Argument("")) -> None:
    if how == "error":
        raise VlaError("expected 7 joints, found 6")
    if how == "interrupt":
        raise KeyboardInterrupt
    if how == "failed":
        raise typer.Exit(1)
"""
HEAVY = ("numpy", "torch", "rclpy", "mujoco", "h5py", "cv2", "matplotlib", "scipy", "av", "pydantic")


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """A command ``planted`` in a file of its own."""
    (tmp_path / "planted.py").write_text('"""A planted command."""\n' + COMMANDS)
    monkeypatch.setattr(commands, "__path__", [*commands.__path__, str(tmp_path)])
    monkeypatch.delenv(cli.DEBUG_VARIABLE, raising=False)
    yield
    sys.modules.pop("vla.commands.planted", None)


def run(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["vla", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code or 0


def test_one_file_is_one_command(planted, monkeypatch, capsys):
    assert run(monkeypatch, "--help") == 0
    shown = capsys.readouterr().out
    assert "planted" in shown
    assert "A planted command." in shown


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["planted"], 0),
        (["planted", "failed"], 1),
        (["planted", "error"], 1),
        (["planted", "--no-such-option"], 2),
        (["no_such_command"], 2),
        (["planted", "interrupt"], 130),
    ],
)
def test_the_exit_code_says_how_it_ended(planted, monkeypatch, arguments, code):
    assert run(monkeypatch, *arguments) == code


def test_an_error_is_one_message(planted, monkeypatch, capsys):
    run(monkeypatch, "planted", "error")
    assert capsys.readouterr().err == "vla: expected 7 joints, found 6\n"


def test_debug_shows_where_an_error_comes_from(planted, monkeypatch, capsys):
    monkeypatch.setenv(cli.DEBUG_VARIABLE, "0")  # undone with the test, whatever --debug sets
    run(monkeypatch, "--debug", "planted", "error")
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(path.stem for path in Path(commands.__file__).parent.glob("[a-z]*.py")))
def test_every_command_explains_itself(name, monkeypatch, capsys):
    assert run(monkeypatch, name, "--help") == 0
    assert f"vla {name}" in capsys.readouterr().out


def test_help_imports_nothing_heavy():
    code = f"""
import sys
from vla import cli
sys.argv = ["vla", "--help"]
try:
    cli.main()
except SystemExit:
    sys.exit(", ".join(name for name in {HEAVY} if name in sys.modules) or 0)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stderr.strip() == ""
    assert done.returncode == 0


@pytest.mark.parametrize(("of_pytest", "code"), [(0, 0), (1, 1), (2, 130), (3, 1), (4, 2), (5, 1)])
def test_the_tests_exit_code_is_in_the_terms_of_vla(of_pytest, code):
    from vla.commands.test import _exit_code

    assert _exit_code(of_pytest) == code
