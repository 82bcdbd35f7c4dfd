"""What the doctor finds on machines that lack something."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vla.commands import doctor
from vla.doctor import machine, software
from vla.doctor.finding import Finding, ProbeFailed, run_probe
from vla.setup.debian import Need


@pytest.fixture
def lock(tmp_path) -> Path:
    path = tmp_path / "pypi.lock"
    path.write_text(
        "# comment\nnumpy==2.4.6 ; python_full_version >= '3.10'\nnumpy==1.0 ; python_full_version < '3'\nav==18.1.0\n"
    )
    return path


def test_pinned_versions_are_right(lock):
    assert software.examine_pins([lock], {"numpy": "2.4.6", "av": "18.1.0"}).status == "ok"


def test_a_wrong_version_is_named(lock):
    finding = software.examine_pins([lock], {"numpy": "2.3.0", "av": "18.1.0"})
    assert finding.status == "warn"
    assert finding.found == "numpy 2.3.0 (expected ==2.4.6)"


def test_a_local_build_of_the_pinned_version_is_right(lock):
    assert software.examine_pins([lock], {"av": "18.1.0+cpu"}).status == "ok"


def test_a_missing_package_is_named(tmp_path):
    (tmp_path / "suite.in").write_text("numpy>=1.26   # arrays\nruamel_yaml\nav>=12,<19\n")
    finding = software.examine_missing([tmp_path / "suite.in"], {"numpy": "2", "ruamel-yaml": "1"})
    assert finding.status == "fail"
    assert finding.found == "missing: av"


def test_a_full_disk_and_a_small_one_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_DISK_WARN", 1 << 60)
    assert machine.examine_disk(tmp_path).status == "warn"
    monkeypatch.setattr(machine, "_DISK_FAIL", 1 << 60)
    assert machine.examine_disk(tmp_path).status == "fail"


def test_little_shared_memory_is_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_SHARED_MEMORY", 1 << 60)
    finding = machine.examine_shared_memory(tmp_path)
    assert finding.status == "warn"
    assert "--shm-size" in finding.advice
    assert machine.examine_shared_memory(tmp_path / "none").status == "warn"


@pytest.mark.parametrize(("required", "status"), [(True, "fail"), (False, "warn")])
def test_a_missing_system_package_comes_with_its_command(required, status):
    finding = machine.examine_system_packages([Need("libegl1", "for the simulated cameras", lambda: False, required)])
    assert finding.status == status
    assert finding.advice.endswith("sudo apt-get install libegl1")


def test_a_probe_that_crashes_is_a_finding():
    with pytest.raises(ProbeFailed, match="ended with exit code -6"):
        run_probe(["-c", "import os; os.abort()"], timeout_s=60)


def test_a_probe_that_fails_says_why():
    with pytest.raises(ProbeFailed, match="ModuleNotFoundError: No module named 'no_such_module'"):
        run_probe(["-c", "import no_such_module"], timeout_s=60)


def test_a_probe_that_hangs_is_ended():
    with pytest.raises(ProbeFailed, match="no answer within 0 s"):
        run_probe(["-c", "import time; time.sleep(600)"], timeout_s=0.2)


def test_a_failing_ros_is_a_failure(monkeypatch):
    def fails(arguments, **options):
        raise ProbeFailed("no message came back")

    monkeypatch.setattr(software, "run_probe", fails)
    assert software.examine_ros().status == "fail"
    assert software.examine_rendering().status == "warn"


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("warn", 0), ("fail", 1)])
def test_the_command_ends_with_the_worst(monkeypatch, tmp_path, status, code):
    monkeypatch.setattr(doctor, "_examine", lambda: iter([Finding("disk", status, "3 GB", "make room")]))
    result = CliRunner().invoke(doctor.app, ["--json", str(tmp_path / "out.json")])
    assert result.exit_code == code
    assert "make room" in result.output
    assert json.loads((tmp_path / "out.json").read_text()) == [
        {"name": "disk", "status": status, "found": "3 GB", "advice": "make room"}
    ]


@pytest.mark.ros
def test_a_message_comes_back_and_every_interface_loads(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
    assert software.examine_ros().status == "ok"
    assert software.examine_interfaces().status == "ok"


def test_rendering_is_seen(monkeypatch):
    pytest.importorskip("mujoco")
    finding = software.examine_rendering()
    if finding.status != "ok":
        pytest.skip(f"this machine does not render: {finding.found}")
    assert finding.found
