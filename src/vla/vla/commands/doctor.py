"""Examine this machine: what works, what does not, and what to do about it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vla.doctor.finding import Finding

app = typer.Typer()

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@app.command()
def doctor(
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the findings there too.", metavar="FILE")
    ] = None,
) -> None:
    """Examine this machine: what works, what does not, and what to do about it.

    Ends with 1 if something is wrong without which the suite does not work.
    """
    from rich.console import Console
    from rich.table import Table

    console = Console()
    findings = []
    with console.status("examining ..."):
        findings = list(_examine())
    table = Table("", "", "found", "what to do", box=None, pad_edge=False)
    for finding in findings:
        colour = _COLOURS[finding.status]
        table.add_row(finding.name, f"[{colour}]{finding.status}[/]", finding.found, finding.advice)
    console.print(table)
    if json_file is not None:
        json_file.write_text(json.dumps([asdict(finding) for finding in findings], indent=1) + "\n")
    raise typer.Exit(any(finding.status == "fail" for finding in findings))


def _examine() -> Iterator[Finding]:
    from vla.doctor import machine, software
    from vla.paths import checkout
    from vla.setup.debian import needs_of
    from vla.setup.workspace import Workspace, uses_ros

    workspace = Workspace(checkout(), uses_ros(os.environ))
    names = ["suite.in"] if workspace.uses_ros else ["suite.in", "ros.in"]
    direct = [workspace.requirements / name for name in names]
    yield machine.examine_python()
    yield software.examine_missing(direct)
    # beside ROS the machine's own versions are kept, and only what is asked for directly is compared
    yield software.examine_pins(direct if workspace.uses_ros else [workspace.lock_file])
    yield machine.examine_system_packages(needs_of(workspace))
    yield software.examine_ros()
    yield software.examine_interfaces()
    yield software.examine_network()
    yield software.examine_rendering()
    yield software.examine_video()
    yield machine.examine_torch()
    yield machine.examine_shared_memory()
    yield machine.examine_disk(workspace.root)
