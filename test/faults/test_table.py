"""docs/faults.md says what there is: every fault by its name, and in every row tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from vla_core.execution.faults import FaultName

ROOT = Path(__file__).parents[2]
COLUMNS = ["what happens", "found by", "within", "the robot", "fault", "cleared by", "tests"]


def rows() -> list[dict[str, str]]:
    lines = [line for line in (ROOT / "docs" / "faults.md").read_text().splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == COLUMNS
    assert all(len(row) == len(COLUMNS) for row in cells)
    return [dict(zip(COLUMNS, row, strict=True)) for row in cells[2:]]


def test_the_table_has_every_fault_and_no_other() -> None:
    named = [re.fullmatch(r"`(\w+)`|-", row["fault"]) for row in rows()]
    assert all(named), [row["fault"] for row in rows()]
    assert {match[1] for match in named if match and match[1]} == {name.value for name in FaultName}


def test_every_row_says_everything_once() -> None:
    assert all(cell for row in rows() for cell in row.values())
    happenings = [row["what happens"] for row in rows()]
    assert len(set(happenings)) == len(happenings) >= 30


def test_every_row_names_tests_that_exist() -> None:
    for row in rows():
        tests = re.findall(r"`(\S+?)::(\w+)`", row["tests"])
        assert tests, row["what happens"]
        for path, name in tests:
            functions = {
                node.name
                for node in ast.walk(ast.parse((ROOT / path).read_text()))
                if isinstance(node, ast.FunctionDef)
            }
            assert name in functions, f"{path}::{name}"
