"""vla_core and vla_policies install with pip, and pass their tests, on a machine that has no ROS."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_architecture import ROOT, ROS, WITHOUT_ROS

# an interpreter that sees nothing but the standard library and what it is given
TESTS = """
import sys

sys.path[:0] = sys.argv.pop(1).split(":")
import pytest

sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-o", "pythonpath=src/vla", *sys.argv[1:]]))
"""


def libraries_without_ros(folder: Path) -> Path:
    """A folder of links to everything that is installed here, except for ROS and the workspace."""
    folder.mkdir()
    installed = [Path(path) for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    for path in (entry for place in installed if place.is_dir() for entry in place.iterdir()):
        link = folder / path.name
        if not ROS.fullmatch(path.name) and path.suffix != ".pth" and not link.exists():
            link.symlink_to(path)
    return folder


@pytest.mark.slow
def test_core_and_policies_install_with_pip_and_pass_their_tests_without_ros(tmp_path):
    sources = [shutil.copytree(ROOT / "src" / name, tmp_path / "src" / name) for name in WITHOUT_ROS]
    target = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(target), *map(str, sources)], check=True)
    assert {path.name for path in target.iterdir()} >= set(WITHOUT_ROS)

    path = f"{target}:{libraries_without_ros(tmp_path / 'libraries')}"
    for absent in ("rclpy", "vla_ros"):
        code = "import sys; sys.path[:0] = sys.argv[1].split(':'); import " + absent
        assert subprocess.run([sys.executable, "-IS", "-c", code, path], capture_output=True).returncode == 1
    tests = [str(ROOT / "src" / name / "test") for name in WITHOUT_ROS]
    done = subprocess.run([sys.executable, "-IS", "-c", TESTS, path, *tests], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
