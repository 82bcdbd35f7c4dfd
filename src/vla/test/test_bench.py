"""``./vla bench``: what it lists, and how arguments reach a benchmark."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vla import cli, paths
from vla.paths import checkout

BENCHMARK = '''
"""Counts."""
from pathlib import Path
import typer
app = typer.Typer()

@app.command()
def count(to: int, json_file: Path = typer.Option(..., "--json")) -> None:
    json_file.write_text(str(list(range(to))))
    raise typer.Exit(1)
'''


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one benchmark; what was imported of it is forgotten afterwards."""
    folder = tmp_path / "bench"
    folder.mkdir()
    (folder / "count_up.py").write_text(BENCHMARK)
    (folder / "__init__.py").touch()
    (folder / "_private.py").touch()
    monkeypatch.setattr(paths, "checkout", lambda: tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in [name for name in sys.modules if name.partition(".")[0] == "bench"]:
        monkeypatch.delitem(sys.modules, name)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "bench"]:
        del sys.modules[name]


def test_the_benchmarks_of_the_checkout_are_listed() -> None:
    listed = CliRunner().invoke(cli.app, ["bench", "--help"])
    assert listed.exit_code == 0
    files = [path.stem for path in (checkout() / "bench").glob("[!_]*.py")]
    assert "recorder" in files
    for name in files:
        assert name.replace("_", "-") in listed.output


def test_arguments_and_exit_code_are_passed_through(planted: Path) -> None:
    found = CliRunner().invoke(cli.app, ["bench", "count-up", "3", "--json", str(planted / "out.json")])
    assert found.exit_code == 1
    assert (planted / "out.json").read_text() == "[0, 1, 2]"


def test_what_is_no_benchmark_is_wrong_usage(planted: Path) -> None:
    for name in ("private", "-private", "nothing"):
        assert CliRunner().invoke(cli.app, ["bench", "--", name]).exit_code == 2
