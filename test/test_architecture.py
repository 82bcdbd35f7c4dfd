"""The dependency rule of the suite: arrows point inward to vla_core, and ROS, torch and HDF5 stay where they belong."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# what each package may import of the others
LAYERS = {
    "vla_core": set(),
    "vla_policies": {"vla_core"},
    "vla_ros": {"vla_core"},
    "vla_sim": {"vla_core", "vla_ros"},
    "vla_recorder": {"vla_core", "vla_ros"},
    "vla_policy_node": {"vla_core", "vla_ros", "vla_policies"},
    "vla": {"vla_core", "vla_ros", "vla_policies", "vla_sim", "vla_recorder", "vla_policy_node"},
}
HDF5 = (("vla_core", "episodes"), ("vla_recorder", "formats"))  # our episodes' files, and those of others
MUJOCO = (("vla_core", "kinematics"), ("vla_sim",))  # the robot's model, and the simulator
WITHOUT_ROS = ("vla_core", "vla_policies")  # install with pip and pass their tests on a machine without ROS
ROS_CLIENT = re.compile(r"rclpy|rosidl_\w+|cv_bridge|tf2_\w+|\w+_msgs|\w+_srvs|\w+_interfaces")
ROS = re.compile(ROS_CLIENT.pattern + r"|ament_\w+|launch|launch_\w+")

# an absolute path of somebody's machine, or one that leads out of the repository
FOREIGN_PATH = re.compile(r"(?<![\w.])(/(home|root|work|Users)/\w|\.\./shared\b)")
TEXT = {".py", ".md", ".yaml", ".toml", ".xml", ".cfg", ".in", ".lock", ".txt", ".json", ".msg", ".srv", ".action", ""}
NOT_SOURCES = {"build", "install", "log", "episodes", "output", "__pycache__"}


@dataclass(frozen=True)
class Import:
    """An import statement: the top-level module, and whether it is inside of a function."""

    file: Path
    line: int
    module: str
    lazy: bool


def imports_of(file: Path) -> Iterator[Import]:
    tree = ast.parse(file.read_text(), str(file))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    lazy = {id(node) for function in ast.walk(tree) if isinstance(function, functions) for node in ast.walk(function)}
    for node in ast.walk(tree):
        for name in _modules(node):
            yield Import(file, node.lineno, name.partition(".")[0], id(node) in lazy)


def _modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module] if node.level == 0 and node.module else []
    if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if function in ("import_module", "__import__") and isinstance(node.args[0].value, str):
            return [node.args[0].value]
    return []


def breaches(root: Path) -> list[str]:
    """Every breach of the rule in the packages below ``root/src``, as ``file:line: what is wrong``."""
    found = []
    for package in sorted(path.parent.name for path in root.glob("src/*/setup.py")):
        if package not in LAYERS:
            found.append(f"src/{package}: has no place in the layers of {Path(__file__).name}")
            continue
        folder = root / "src" / package
        for file in sorted(folder.rglob("*.py")):
            path = file.relative_to(folder)
            if path.parts[0] not in (package, "test"):
                continue
            for one in imports_of(file):
                if problem := _problem(package, path, one):
                    found.append(f"{file.relative_to(root)}:{one.line}: imports {one.module}: {problem}")
    return found


def _problem(package: str, path: Path, one: Import) -> str | None:
    """What is wrong with an import in the file ``path`` (relative to the package's folder), if anything."""
    is_test = path.parts[0] == "test"
    if package in WITHOUT_ROS and ROS.fullmatch(one.module) and not (is_test and one.lazy):
        return f"{package} works without ROS (a test may compare with it, importing it inside of a function)"
    if one.module in LAYERS and one.module != package and one.module not in LAYERS[package]:
        return f"{package} may import only {', '.join(sorted(LAYERS[package])) or 'nothing'} of the suite"
    if is_test:
        return None  # a test may look at its package from outside, with ROS, torch or h5py
    if ROS_CLIENT.fullmatch(one.module) and not _may_use_ros(package, path):
        return "ROS is used only in vla_ros, in a folder 'ros' or in a '*_node.py'"
    if one.module in ("torch", "torchvision") and not _may_use_torch(package, one):
        return "torch is used only in vla_policies, and inside of functions in vla_policy_node"
    if one.module in ("mujoco", "mink") and not any(path.parts[: len(place)] == place for place in MUJOCO):
        return "MuJoCo and mink are used only in vla_core/kinematics and vla_sim"
    if one.module == "h5py" and path.parts[:2] not in HDF5:
        return "h5py is used only in vla_core/episodes and vla_recorder/formats"
    return None


def _may_use_ros(package: str, path: Path) -> bool:
    return package == "vla_ros" or "ros" in path.parts[:-1] or path.name.endswith("_node.py")


def _may_use_torch(package: str, one: Import) -> bool:
    return package == "vla_policies" or (package == "vla_policy_node" and one.lazy)


def foreign_paths(root: Path) -> list[str]:
    """Every mention of a path of one machine in the text files of a checkout, as ``file:line: path``."""
    found = []
    for file in sorted(root.rglob("*")):
        parts = file.relative_to(root).parts
        hidden = any(part.startswith(".") and part != ".ci" for part in parts)
        if hidden or parts[0] in NOT_SOURCES or file.suffix not in TEXT or not file.is_file():
            continue
        for number, line in enumerate(file.read_text(errors="replace").splitlines(), start=1):
            if match := FOREIGN_PATH.search(line):
                found.append(f"{file.relative_to(root)}:{number}: {line[match.start() : match.start() + 60]}")
    return found


def test_the_packages_keep_the_dependency_rule():
    found = breaches(ROOT)
    assert not found, "\n".join(["", *found])


def test_no_file_names_a_path_of_one_machine():
    found = foreign_paths(ROOT)
    assert not found, "\n".join(["", *found])


def test_the_rule_is_about_packages_that_exist():
    assert set(LAYERS) == {path.parent.name for path in ROOT.glob("src/*/setup.py")}


def plant(root: Path, file: str, source: str) -> None:
    path = root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(source))
    package = root.joinpath(*Path(file).parts[:2])
    (package / "setup.py").touch()


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("src/vla_core/vla_core/a.py", "import rclpy"),
        ("src/vla_core/vla_core/ros/a.py", "from std_msgs.msg import String"),
        ("src/vla_core/vla_core/a.py", "import torch"),
        ("src/vla_core/vla_core/a.py", "def f():\n    import torch"),
        ("src/vla_core/vla_core/a.py", "from vla_ros import codecs"),
        ("src/vla_core/vla_core/a.py", "import h5py"),
        ("src/vla_core/test/test_a.py", "import rclpy"),
        ("src/vla_policies/vla_policies/a.py", "from vla_msgs.msg import ActionChunk"),
        ("src/vla_policies/vla_policies/a.py", "import vla_policy_node.ros"),
        ("src/vla_ros/vla_ros/a.py", "import torch.nn as nn"),
        ("src/vla_ros/vla_ros/a.py", "from vla_recorder import writer"),
        ("src/vla_recorder/vla_recorder/a.py", "import rclpy.node"),
        ("src/vla_recorder/vla_recorder/a.py", "import h5py"),
        ("src/vla_recorder/vla_recorder/a_node.py", "from vla_policy_node import rollout"),
        ("src/vla_policy_node/vla_policy_node/a_node.py", "from vla_recorder import keyboard"),
        ("src/vla_policy_node/vla_policy_node/a_node.py", "import torch"),
        ("src/vla_policy_node/vla_policy_node/a.py", "importlib.import_module('vla_sim.robot')"),
        ("src/vla_sim/vla_sim/a.py", "if True:\n    from sensor_msgs.msg import Image"),
        ("src/vla_sim/vla_sim/ros.py", "import builtin_interfaces.msg"),
        ("src/vla/vla/a.py", "def f():\n    from rclpy import node"),
        ("src/vla/vla/a.py", "import torch"),
        ("src/vla_core/vla_core/motion/a.py", "def f():\n    import mujoco"),
        ("src/vla_ros/vla_ros/a.py", "import mink"),
        ("src/vla_new/vla_new/a.py", ""),
    ],
)
def test_a_planted_breach_is_found(tmp_path, file, source):
    plant(tmp_path, file, source)
    found = breaches(tmp_path)
    assert len(found) == 1
    assert found[0].startswith(str(Path(*Path(file).parts[:2])))


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("src/vla_core/vla_core/episodes/a.py", "import h5py"),
        ("src/vla_core/vla_core/kinematics/a.py", "import mujoco"),
        ("src/vla_sim/vla_sim/a.py", "import mujoco, mink"),
        ("src/vla_recorder/vla_recorder/formats/a.py", "import h5py"),
        ("src/vla_core/test/test_a.py", "import h5py\ndef test_f():\n    import cv_bridge"),
        ("src/vla_policies/vla_policies/a.py", "import torch\nfrom vla_core import config"),
        ("src/vla_ros/vla_ros/a.py", "import rclpy\nfrom sensor_msgs.msg import Image"),
        ("src/vla_recorder/vla_recorder/ros/a.py", "import rclpy\nfrom vla_ros import qos"),
        ("src/vla_policy_node/vla_policy_node/policy_node.py", "import rclpy\ndef f():\n    import torch"),
        ("src/vla_sim/vla_sim/a.py", "from . import robot\nfrom .ros import cameras\nimport rosbags"),
        ("src/vla/vla/a.py", "import vla_sim, vla_recorder, vla_policy_node"),
    ],
)
def test_what_the_rule_allows_is_no_breach(tmp_path, file, source):
    plant(tmp_path, file, source)
    assert breaches(tmp_path) == []


@pytest.mark.parametrize("path", ["/" + "home/someone/data", "/" + "work/x", "see .." + "/shared/facts"])
def test_a_planted_path_is_found(tmp_path, path):
    (tmp_path / "README.md").write_text(f"a\nfrom {path}\n")
    (tmp_path / "ok.md").write_text("src/work/x, ../../config and https://example.org/home/x\n")
    assert [line.partition(":")[0] for line in foreign_paths(tmp_path)] == ["README.md"]
