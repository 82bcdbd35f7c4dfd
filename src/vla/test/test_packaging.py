"""Every package is one that colcon and pip can build."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

SOURCES = Path(__file__).parents[2]
PACKAGES = sorted(path.parent.name for path in SOURCES.glob("*/package.xml"))
PYTHON_PACKAGES = sorted(path.parent.name for path in SOURCES.glob("*/setup.py"))


def test_the_packages_are_found():
    assert "vla_msgs" in PACKAGES
    assert {"vla", "vla_core"} <= set(PYTHON_PACKAGES) < set(PACKAGES)


@pytest.mark.parametrize("name", PACKAGES)
def test_the_manifest_names_the_package_and_how_it_is_built(name):
    manifest = ElementTree.parse(SOURCES / name / "package.xml").getroot()
    assert manifest.findtext("name") == name
    expected = "ament_python" if name in PYTHON_PACKAGES else "ament_cmake"
    assert manifest.findtext("export/build_type") == expected
    assert manifest.findtext("license") == "Apache-2.0"
    # catkin_pkg refuses other addresses, and colcon then builds the package as something else without a word
    assert re.fullmatch(r"[^@\s]+@[^@\s]+\.[a-z]{2,}", manifest.find("maintainer").attrib["email"])


@pytest.mark.parametrize("name", PYTHON_PACKAGES)
def test_a_python_package_can_be_found_and_run_by_ros(name):
    folder = SOURCES / name
    compile((folder / "setup.py").read_text(), "setup.py", "exec")
    assert (folder / "resource" / name).is_file()
    assert (folder / name / "__init__.py").is_file()
    assert f"install_scripts=$base/lib/{name}" in (folder / "setup.cfg").read_text().replace(" ", "")


@pytest.mark.parametrize("name", PYTHON_PACKAGES)
def test_every_script_of_a_package_exists(name):
    """``ros2 run`` and the launch files name them."""
    for module, function in re.findall(rf'"\w+ *= *({name}[\w.]*):(\w+)"', (SOURCES / name / "setup.py").read_text()):
        source = SOURCES / name / Path(*module.split(".")).with_suffix(".py")
        assert source.is_file(), module
        assert re.search(rf"^def {function}\(", source.read_text(), re.MULTILINE), f"{module}:{function}"
