"""The script ``vla``: finds itself, a suitable Python and what is to be done, on a machine with nothing installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "vla"
TOOLS = ("bash", "env", "readlink", "dirname", "mkdir", "touch", "cat", "chmod", "ln")

# stands in for the set-up: leaves a trace and makes a "Python" that shows how the command line is called
SETUP = """#!/bin/sh
echo "set-up by $PYTHON_NAME: $*" >> {root}/trace
[ -e {root}/fails ] && exit 2
mkdir -p {root}/.venv/bin
cat > {root}/.venv/bin/python <<'END'
#!/bin/sh
case "$*" in *--check) exit 0;; esac
echo "run: $*, prefix $AMENT_PREFIX_PATH, sourced $SOURCED" >> {root}/trace
END
chmod +x {root}/.venv/bin/python
"""


class Machine:
    """A checkout with nothing but the script, and a PATH with nothing but what is put there."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "checkout"
        self.root.mkdir()
        shutil.copy(SCRIPT, self.root / "vla")
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.home = folder / "home"
        for tool in TOOLS:
            (self.bin / tool).symlink_to(str(shutil.which(tool)))

    def add_python(self, name: str, version: tuple[int, int], has_venv: bool = True, has_rclpy: bool = False) -> None:
        """An interpreter that answers the script's questions, and plays the set-up."""
        path = self.bin / name
        path.parent.mkdir(parents=True, exist_ok=True)
        suitable = (3, 10) <= version <= (3, 12)
        setup = SETUP.format(root=self.root).partition("\n")[2]
        path.write_text(
            f"""#!/bin/sh
PYTHON_NAME={path.name}
case "$*" in
    *version_info*) exit {0 if suitable else 1};;
    *ensurepip*) exit {0 if has_venv else 1};;
    *rclpy*) exit {0 if has_rclpy else 1};;
    --version) echo "Python {version[0]}.{version[1]}.0"; exit 0;;
esac
{setup}"""
        )
        path.chmod(0o755)

    def run(self, *arguments: str, script: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(script or self.root / "vla"), *arguments],
            env={"PATH": str(self.bin), "HOME": str(self.home), **variables},
            cwd="/",
            capture_output=True,
            text=True,
        )

    @property
    def trace(self) -> list[str]:
        path = self.root / "trace"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def computer(tmp_path) -> Machine:
    return Machine(tmp_path)


def set_up_by(computer: Machine) -> str:
    return computer.trace[0].partition(":")[0].removeprefix("set-up by ")


def test_the_first_use_sets_up_and_then_runs_the_command(computer):
    computer.add_python("python3", (3, 11))
    done = computer.run("doctor", "--json", "a b")
    assert done.returncode == 0
    assert set_up_by(computer) == "python3"
    assert computer.trace[-1].startswith("run: -m vla doctor --json a b, ")


def test_later_uses_run_the_command_at_once(computer):
    computer.add_python("python3", (3, 11))
    computer.run()
    computer.run("doctor")
    assert len([line for line in computer.trace if line.startswith("set-up")]) == 1


def test_it_finds_its_checkout_through_a_link(computer, tmp_path):
    computer.add_python("python3", (3, 11))
    (tmp_path / "one").symlink_to(computer.root / "vla")
    (tmp_path / "two").symlink_to("one")
    assert computer.run("doctor", script=tmp_path / "two").returncode == 0
    assert f"prefix {computer.root}/.venv" in computer.trace[-1]


def test_an_unsuitable_python_is_passed_over(computer):
    computer.add_python("python3", (3, 13))
    computer.add_python("python3.11", (3, 11))
    computer.run()
    assert set_up_by(computer) == "python3.11"


def test_one_with_venv_is_preferred(computer):
    computer.add_python("python3", (3, 11), has_venv=False)
    computer.add_python("python3.10", (3, 10))
    computer.run()
    assert set_up_by(computer) == "python3.10"


def test_one_without_venv_is_taken_where_there_is_no_other(computer):
    """The set-up then installs the Debian package, or names it."""
    computer.add_python("python3", (3, 11), has_venv=False)
    computer.run()
    assert set_up_by(computer) == "python3"


def test_pyenv_is_searched_last(computer):
    computer.add_python("python3", (3, 13))
    computer.add_python("../home/.pyenv/versions/3.12.1/bin/python3", (3, 12))
    assert computer.run().returncode == 0


@pytest.mark.parametrize("version", [(3, 9), (3, 13)])
def test_no_suitable_python_is_one_clear_sentence(computer, version):
    computer.add_python("python3", version)
    done = computer.run("doctor")
    assert done.returncode == 2
    assert done.stderr == (
        f"vla: expected Python 3.10, 3.11 or 3.12, found Python 3.{version[1]}.0; "
        "install one, for example: sudo apt-get install python3 python3-venv\n"
    )


def test_no_python_at_all_is_one_clear_sentence(computer):
    done = computer.run()
    assert done.returncode == 2
    assert "found none; install one" in done.stderr


def test_without_a_home_it_works_too(computer):
    computer.add_python("python3", (3, 11))
    done = subprocess.run([computer.root / "vla"], env={"PATH": str(computer.bin)}, capture_output=True)
    assert done.returncode == 0


def test_a_failed_set_up_ends_it_with_its_exit_code(computer):
    computer.add_python("python3", (3, 11))
    (computer.root / "fails").touch()
    assert computer.run("doctor").returncode == 2
    assert len(computer.trace) == 1


def test_setup_force_sets_up_again_with_a_python_from_outside(computer):
    computer.add_python("python3", (3, 11))
    computer.run()
    active = f"{computer.root}/.venv/bin:{computer.bin}"
    (computer.root / ".venv/bin/python3").symlink_to("python")
    done = subprocess.run([computer.root / "vla", "setup", "--force"], env={"PATH": active}, capture_output=True)
    assert done.returncode == 0
    assert computer.trace[-2].endswith("__main__.py --force")
    assert computer.trace[-1].startswith("run: -m vla setup --force")


def test_beside_ros_its_own_python_is_taken(computer):
    """An active conda environment hides it."""
    computer.add_python("python3", (3, 11))
    computer.add_python("python3.12", (3, 12), has_rclpy=True)
    computer.run(ROS_DISTRO="jazzy", AMENT_PREFIX_PATH="/opt/ros/jazzy")
    assert set_up_by(computer) == "python3.12"


def test_beside_ros_the_built_workspace_is_sourced(computer):
    computer.add_python("python3", (3, 12), has_rclpy=True)
    setup = computer.root / "install" / "local_setup.bash"
    setup.parent.mkdir()
    setup.write_text("export SOURCED=yes$NOT_SET_ANYWHERE\n")
    done = computer.run("up", ROS_DISTRO="jazzy", AMENT_PREFIX_PATH="/opt/ros/jazzy")
    assert done.returncode == 0, done.stderr
    assert computer.trace[-1] == "run: -m vla up, prefix /opt/ros/jazzy, sourced yes"


def test_without_ros_the_environment_is_the_prefix(computer):
    computer.add_python("python3", (3, 12))
    computer.run("up", ROS_DISTRO="jazzy")
    assert computer.trace[-1] == f"run: -m vla up, prefix {computer.root}/.venv, sourced "


def test_ci_calls_the_tests(computer):
    computer.add_python("python3", (3, 11))
    (computer.root / ".ci").mkdir()
    shutil.copy(SCRIPT.parent / ".ci" / "run", computer.root / ".ci" / "run")
    assert computer.run("-x", script=computer.root / ".ci" / "run").returncode == 0
    assert computer.trace[-1].startswith("run: -m vla test -x, ")
    assert os.access(SCRIPT.parent / ".ci" / "run", os.X_OK)
