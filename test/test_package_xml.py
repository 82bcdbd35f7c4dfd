"""package.xml of every package names the ROS packages that its code imports: rosdep and colcon go by it."""

from __future__ import annotations

import ast
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[1] / "src"
PACKAGES = sorted(path.parent.name for path in SOURCES.glob("*/package.xml") if (path.parent / "setup.py").is_file())
ROS = {"rclpy", "launch", "launch_ros", "rosgraph_msgs", "ament_index_python", "cv_bridge"}


def is_ros(module: str) -> bool:
    return module in ROS or module.endswith(("_msgs", "_interfaces")) or module in PACKAGES or module == "std_srvs"


def imported(package: str) -> set[str]:
    modules = set()
    for path in (SOURCES / package / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules.add(node.module.partition(".")[0])
    return {module for module in modules if is_ros(module)} - {package}


@pytest.mark.parametrize("package", PACKAGES)
def test_what_is_imported_is_declared(package: str) -> None:
    tree = ElementTree.parse(SOURCES / package / "package.xml")
    declared = {entry.text for tag in ("depend", "exec_depend") for entry in tree.iter(tag)}
    assert imported(package) - declared == set()
