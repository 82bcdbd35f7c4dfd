"""Environment variables for child processes, and ROS domains that nobody else uses."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from vla import environment
from vla.environment import NoFreeDomain, child_environment, reserved_domain_id


def test_nothing_listens_beyond_this_machine_unasked():
    assert child_environment({})["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"


def test_what_the_user_has_set_stays():
    given = {
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET",
        "MUJOCO_GL": "osmesa",
        "OMP_NUM_THREADS": "4",
        "ROS_DOMAIN_ID": "7",
    }
    assert given.items() <= child_environment(given).items()


def test_images_find_room_in_shared_memory_where_there_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "FASTRTPS_DEFAULT_PROFILES_FILE"
    monkeypatch.setattr(environment, "_shared_memory_free", lambda: 1 << 30)
    profile = Path(child_environment({})[name])
    assert "<segment_size>33554432</segment_size>" in profile.read_text()
    for given in ({name: "mine.xml"}, {"FASTDDS_DEFAULT_PROFILES_FILE": "mine.xml"}):
        assert "large_images" not in str(child_environment(given))
    monkeypatch.setattr(environment, "_shared_memory_free", lambda: 1 << 26)
    assert name not in child_environment({})


def test_the_domain_is_the_one_asked_for():
    assert child_environment({"ROS_DOMAIN_ID": "7"}, domain_id=12)["ROS_DOMAIN_ID"] == "12"
    assert "ROS_DOMAIN_ID" not in child_environment({})


def test_numeric_libraries_get_one_thread_unless_left_alone():
    assert child_environment({})["OMP_NUM_THREADS"] == "1"
    assert "OMP_NUM_THREADS" not in child_environment({}, threads=None)


def test_reserved_domains_differ():
    with reserved_domain_id() as one, reserved_domain_id() as two:
        assert one != two


def test_a_domain_is_free_again_afterwards():
    with reserved_domain_id() as one:
        pass
    with reserved_domain_id() as two:
        assert one == two


def test_another_process_gets_another_domain():
    code = "from vla.environment import reserved_domain_id as r\nwith r() as i: print(i)"
    with reserved_domain_id() as ours:
        first = f"import os; os.getpid = lambda: {ours - 1}\n"  # so that it tries ours first
        done = subprocess.run(
            [sys.executable, "-c", first + code], env={"PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True
        )
    assert done.returncode == 0
    assert int(done.stdout) != ours


@pytest.mark.parametrize("offset", [10, 11])
def test_a_domain_in_which_somebody_receives_is_left_alone(monkeypatch, offset):
    with reserved_domain_id() as free:
        pass
    monkeypatch.setattr(environment, "_DOMAINS", range(free, free + 1))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as participant:
        participant.bind(("", 7400 + 250 * free + offset))
        with pytest.raises(NoFreeDomain, match=f"among {free} to {free}, found all in use"), reserved_domain_id():
            pass


@pytest.mark.ros
def test_a_domain_with_a_node_in_it_is_left_alone(monkeypatch):
    """DDS really receives where the standard says."""
    rclpy = pytest.importorskip("rclpy")
    with reserved_domain_id() as free:
        pass
    context = rclpy.context.Context()
    context.init(domain_id=free)
    node = rclpy.create_node("somebody", context=context)
    monkeypatch.setattr(environment, "_DOMAINS", range(free, free + 1))
    try:
        with pytest.raises(NoFreeDomain), reserved_domain_id():
            pass
    finally:
        node.destroy_node()
        context.try_shutdown()
